/* Not a test: profile_tool_test.py builds this and looks at it with pymalloc profile.
 * "walk" tells a stack of its own; the others allocate so that each figure is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
/* What is behind a call keeps it from becoming a jump. */
#define STAY() __asm__ volatile("" : : : "memory")

/* Tells a return address, and the line of the call. */
NOINLINE static void tell(const char *function, int line)
{
    printf("%s %d %p\n", function, line, __builtin_return_address(0));
    STAY();
}

__attribute__((always_inline)) static inline void inlined(void)
{
    tell("inlined", __LINE__);
    STAY();
}

/* As a C++ compiler would call shop::fill(int). */
NOINLINE void fill(int) __asm__("_ZN4shop4fillEi");
void fill(int number)
{
    (void)number;
    inlined();
    STAY();
}

/* Not exported: a stripped program does not know its name.  It lies behind the others,
 * so that they may not be taken for it. */
NOINLINE __attribute__((section(".text.z"))) static void hidden(void)
{
    tell("hidden", __LINE__);
    STAY();
}

NOINLINE void exported(void)
{
    tell("exported", __LINE__);
    STAY();
}

#ifndef PART_OF_A_LIBRARY

void library_calls(void);

static void *volatile kept[1000];

NOINLINE static void *keeps(size_t size)
{
    void *block = malloc(size);
    STAY();
    return block;
}

NOINLINE static void *drops(size_t size)
{
    void *block = malloc(size);
    STAY();
    return block;
}

NOINLINE static void work(int more)
{
    for (int i = 0; i < 100 + more; i++) {
        kept[i] = keeps(1000);
    }
    for (int i = 0; i < 50; i++) {
        kept[500 + i] = drops(2000);
    }
    for (int i = 0; i < 50; i++) {
        free(kept[500 + i]);
    }
}

static void print_maps(void)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        printf("maps %s", line);
    }
}

int main(int argc, char **argv)
{
    const char *act = argc > 1 ? argv[1] : "";
    if (strcmp(act, "walk") == 0) {
        fill(1);
        hidden();
        exported();
        library_calls();
        print_maps();
    } else if (strcmp(act, "work") == 0) {
        work(argc > 2 ? atoi(argv[2]) : 0);
    } else if (strcmp(act, "fork") == 0) {
        work(0);
        if (fork() == 0) {
            kept[999] = keeps(5000);
            exit(0);
        }
        wait(NULL);
        return 7;
    } else if (strcmp(act, "wait") == 0) {
        work(0);
        puts("ready");
        fflush(stdout);
        (void)getchar();
    } else if (strcmp(act, "die") == 0) {
        abort();
    }
    return 0;
}

#else

NOINLINE void library_calls(void)
{
    tell("library_calls", __LINE__);
    STAY();
}

#endif
