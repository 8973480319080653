/*
 * What the programs of misuse share.  Each defines misuse(), which does one thing that
 * a program must not do with a block of a given size; the rest is here: some ordinary
 * work before, and after it a look at whether the allocator still keeps its promises.
 *
 *     PROGRAM SIZE
 *
 * prints the block that the misuse is about, if there is one, and a word if it lives to
 * the end: "survived", "harmed" if memory was handed out that must not be, or what
 * misuse() said.  Nothing here depends on stdio, which allocates.
 */
#ifndef TEST_ABUSE_H
#define TEST_ABUSE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AFTER_MOST = 160, AFTER_ROUNDS = 4, WATCHDOG_SECONDS = 30 };

static void misuse(size_t size);

static const char *word = "survived";
static char *forbidden; /* memory that is no block, and must not become one */
static size_t forbidden_size;

/* The compiler knows what malloc returns and what free ends; here it must not. */
__attribute__((noinline)) static char *hide(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return (char *)pointer;
}

__attribute__((unused)) static char *get(size_t size)
{
    char *block = hide(malloc(size));
    memset(block, 'a', size);
    return hide(block);
}

__attribute__((unused)) static void drop(void *block)
{
    free(hide(block));
}

__attribute__((unused)) static void forbid(void *memory, size_t size)
{
    forbidden = hide(memory);
    forbidden_size = size;
}

static void print(const char *text)
{
    if (write(1, text, strlen(text)) < 0) {
        _exit(2);
    }
}

/* The pointer that the report of the misuse must name. */
__attribute__((unused)) static char *about(void *block)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "block %p\n", block);
    print(line);
    return hide(block);
}

/* Runs a function in a thread of its own, to its end. */
__attribute__((unused)) static void elsewhere(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, arg) != 0 ||
        pthread_join(thread, NULL) != 0) {
        _exit(2);
    }
}

static void work(size_t size)
{
    static const size_t sizes[] = {16, 48, 100, 500, 700, 3000, 10000, 70000};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), BLOCKS = 4 * SIZES };
    char *block[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = get(i % 3 == 0 ? size : sizes[i % SIZES]);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 4 != 0) {
            drop(block[i]);
        }
    }
}

static void look_at(const char *block, size_t size)
{
    if (block == NULL ||
        (block + size > forbidden && block < forbidden + forbidden_size)) {
        word = "harmed";
    }
}

/* Every block has one owner: what is written into it stays. */
static void aftermath(size_t size)
{
    static char *block[AFTER_MOST];
    size_t blocks = size > 65536 ? AFTER_MOST / 10 : AFTER_MOST;
    for (size_t i = 0; i < blocks; i++) {
        block[i] = hide(malloc(size));
        look_at(block[i], size);
        memcpy(block[i], &i, sizeof(i));
        memcpy(block[i] + size - sizeof(i), &i, sizeof(i));
    }
    for (size_t i = 0; i < blocks; i++) {
        if (memcmp(block[i], &i, sizeof(i)) != 0 ||
            memcmp(block[i] + size - sizeof(i), &i, sizeof(i)) != 0) {
            word = "harmed";
        }
    }
    for (size_t i = 0; i < blocks; i++) {
        drop(block[i]);
    }
}

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (size < 24) {
        return 2;
    }
    alarm(WATCHDOG_SECONDS);
    work(size);
    misuse(size);
    for (int i = 0; i < AFTER_ROUNDS && strcmp(word, "harmed") != 0; i++) {
        aftermath(size);
    }
    print(word);
    print("\n");
    _exit(0);
}

#endif
