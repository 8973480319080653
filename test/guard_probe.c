/* Not a test: guard.sh runs it with the option "guard".  Its arguments are what to do
 * and a size; it does that to a guarded block and says "survived" if it can. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

enum { TRIES = 1000000 };

static size_t size;
static volatile unsigned char sink;

/* Guarded blocks end where a page ends, within 15 bytes, and lie in no pool. */
static int is_guarded(void *p, size_t n)
{
    uintptr_t end = ((uintptr_t)p + n + 15) & ~(uintptr_t)15;
    return !pymalloc_owns(p) && end % 4096 == 0 && malloc_usable_size(p) == n;
}

/* Not static, so that the stacks have names to look for. */
unsigned char *make_block(void);
void drop_block(void *p);

__attribute__((noinline)) unsigned char *make_block(void)
{
    for (int i = 0; i < TRIES; i++) {
        unsigned char *p = opaque(malloc(size));
        if (is_guarded(p, size)) {
            return p;
        }
        free(p);
    }
    puts("no guarded block");
    exit(1);
}

__attribute__((noinline)) void drop_block(void *p)
{
    free(opaque(p));
    sink = 0; /* not a tail call, which would leave no frame */
}

static void *drop_in_thread(void *p)
{
    drop_block(p);
    return NULL;
}

static void count(int keep)
{
    size_t guarded = 0;
    void *last = NULL;
    for (int i = 0; i < TRIES; i++) {
        void **p = opaque(malloc(size));
        guarded += (size_t)is_guarded(p, size);
        if (keep) {
            *p = last;
            last = p;
        } else {
            free(p);
        }
    }
    printf("%zu\n", guarded);
}

static void check_content(void)
{
    unsigned char *p = make_block();
    for (size_t i = 0; i < size; i++) {
        if (p[i] != 0) {
            puts("not zero");
        }
    }
    pattern_fill(p, size, 1);
    p = realloc(p, 3 * size);
    if (pattern_mismatch(p, size, 1) != size) {
        puts("content lost");
    }
    free(p);
    for (int i = 0; i < 3000; i++) { /* places are used again */
        drop_block(make_block());
    }
}

static void check_child(void)
{
    unsigned char *p = make_block();
    memset(p, 7, size);
    pid_t child = fork();
    if (child == 0) {
        int wrong = p[size - 1] != 7;
        drop_block(p);
        drop_block(make_block());
        _exit(wrong);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0 || p[0] != 7) {
        puts("not so in the child");
    }
    drop_block(p);
}

/* Writes after free that are let pass, until the place has its next block. */
static void check_reuse(unsigned char *p)
{
    size_t word = 0;
    drop_block(p);
    memset(p - sizeof word, 0x11, sizeof word);
    unsigned char *next = NULL;
    for (int i = 0; next != p && i < 3000; i++) {
        next = make_block();
        drop_block(next == p ? NULL : next);
    }
    memcpy(&word, p - sizeof word, sizeof word);
    if (next != p || word != 0) {
        puts("a word that looks like the size of a block");
        exit(1);
    }
}

static void handler(int number)
{
    (void)number;
    static const char text[] = "own handler\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(3);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    size = argc > 2 ? (size_t)atol(argv[2]) : 0;
    pthread_t thread;
    unsigned char *p = NULL;
    if (strncmp(what, "count", 5) != 0 && strcmp(what, "none") != 0) {
        p = make_block();
    }
    if (strcmp(what, "count") == 0) {
        count(0);
        return 0;
    } else if (strcmp(what, "count-kept") == 0) {
        count(1);
        return 0;
    } else if (strcmp(what, "content") == 0) {
        check_content();
    } else if (strcmp(what, "child") == 0) {
        check_child();
    } else if (strcmp(what, "past") == 0) {
        p[(size + 15) / 16 * 16] = 1;
    } else if (strcmp(what, "read-past") == 0) {
        sink = p[(size + 15) / 16 * 16];
    } else if (strcmp(what, "slack") == 0) {
        p[size] = 1;
        drop_block(p);
    } else if (strcmp(what, "gap") == 0) {
        p[-17] = 1;
        drop_block(p);
    } else if (strcmp(what, "before") == 0) {
        p[-8192] = 1;
    } else if (strcmp(what, "use") == 0) {
        drop_block(p);
        p[0] = 1;
    } else if (strcmp(what, "read-use") == 0) {
        pthread_create(&thread, NULL, drop_in_thread, p);
        pthread_join(thread, NULL);
        sink = p[size / 2];
    } else if (strcmp(what, "double") == 0) {
        drop_block(p);
        drop_block(p);
    } else if (strcmp(what, "realloc") == 0) {
        drop_block(p);
        p = opaque(realloc(p, 2 * size));
    } else if (strcmp(what, "other-fault") == 0) {
        sink = *(volatile unsigned char *)opaque((void *)16);
    } else if (strcmp(what, "reuse") == 0) {
        check_reuse(p);
    } else if (strcmp(what, "sent") == 0) {
        raise(SIGSEGV);
    } else if (strcmp(what, "sent-ignored") == 0) {
        raise(SIGSEGV);
        drop_block(p);
        p[0] = 1;
    } else if (strcmp(what, "own-handler") == 0) {
        signal(SIGSEGV, handler);
        sink = *(volatile unsigned char *)opaque((void *)16);
    }
    puts("survived");
    return 0;
}
