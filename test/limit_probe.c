/* Not a test: limits.sh and others run it under limits.  It allocates small
 * blocks until there are no more (at most the MiB that its argument says), frees
 * them, does it again, and prints what it saw. */
#include "support.h"

#include <pthread.h>

/* Blocks in a list: a limited process has no room for a table of them. */
struct node {
    struct node *next;
    uint64_t tag;
    unsigned char content[84];
};

static struct node *list;

static size_t fill(size_t bytes)
{
    size_t n = 0;
    errno = 0;
    while (n * sizeof(struct node) < bytes) {
        struct node *p = malloc(sizeof *p);
        if (!p) {
            break;
        }
        p->next = list;
        p->tag = n++;
        pattern_fill(p->content, sizeof p->content, p->tag);
        list = p;
    }
    return n * sizeof(struct node);
}

static int drain(void)
{
    int sound = 1;
    while (list) {
        struct node *next = list->next;
        sound &= pattern_holds(list->content, sizeof list->content, list->tag);
        free(list);
        list = next;
    }
    return sound;
}

static int large_blocks_work(void)
{
    int sound = 1;
    for (size_t n = 600; n < 300000; n *= 2) {
        unsigned char *p = malloc(n);
        if (!p) {
            return 0;
        }
        pattern_fill(p, n, n);
        unsigned char *q = realloc(p, n * 2);
        sound &= pattern_holds(q ? q : p, n, n);
        free(q ? q : p);
    }
    return sound;
}

int main(int argc, char **argv)
{
    struct pymalloc_totals s;
    char line[256];
    size_t most = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) << 20;
    void *p = malloc(16);
    int owns = pymalloc_owns(p);
    free(p);
    pymalloc_stats(&s);
    long used_kb = proc_kilobytes("/proc/self/status", "VmSize:");
    int large = large_blocks_work();
    size_t first = fill(most);
    int error = first < most ? errno : 0;
    int sound = pymalloc_verify() == 0;
    sound &= drain();
    size_t again = fill(most);
    sound &= drain();
    sound &= pymalloc_verify() == 0;
    int n = snprintf(line, sizeof line,
                     "owns=%d reserved=%ju used_kb=%ld large=%d first=%zu again=%zu "
                     "error=%d sound=%d\n",
                     owns != 0, (uintmax_t)s.reserved_bytes, used_kb, large, first,
                     again, error, sound);
    tap_write(line, (size_t)n);
    return 0;
}
