/*
 * A program that is linked with libpymalloc and looks at its own memory.
 *
 *     cc stats.c $(pkg-config --cflags --libs libpymalloc) -o stats
 *     ./stats
 *
 * Nothing of pymalloc.h is needed to run on the library: malloc and free are the
 * library's because it is linked.  What is used here is for looking and steering.
 */
#include <pymalloc/pymalloc.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 100000 };

/* A list of words, each in a block of its own, as many programs have. */
struct word {
    struct word *next;
    char text[];
};

static struct word *make_words(void)
{
    struct word *words = NULL;
    for (int i = 0; i < WORDS; i++) {
        char text[32];
        size_t length = (size_t)snprintf(text, sizeof(text), "word %d", i);
        struct word *word = malloc(sizeof(*word) + length + 1);
        if (word == NULL) {
            perror("stats");
            exit(1);
        }
        memcpy(word->text, text, length + 1);
        word->next = words;
        words = word;
    }
    return words;
}

static void free_words(struct word *words)
{
    while (words != NULL) {
        struct word *next = words->next;
        free(words);
        words = next;
    }
}

/* Counts are of blocks, all else is in bytes; pymalloc.h describes every member. */
static void print_totals(const char *when)
{
    struct pymalloc_totals totals;
    if (pymalloc_stats(&totals) != 0) {
        return;
    }
    printf("%s: %" PRIu64 " small blocks of %" PRIu64 " KiB, in pools of %" PRIu64
           " KiB; %" PRIu64 " KiB wait to go back\n",
           when, totals.small_live, totals.small_live_bytes / 1024,
           totals.small_held_bytes / 1024, totals.dirty_bytes / 1024);
}

/* pymalloc_walk calls this for every live small block. */
static int count_block(void *block, size_t size, void *arg)
{
    size_t *by_class = arg;
    (void)block;
    by_class[size / 16 - 1]++;
    return 0;
}

static void print_classes(void)
{
    size_t by_class[PYMALLOC_CLASSES] = {0};
    pymalloc_walk(count_block, by_class);
    for (size_t i = 0; i < PYMALLOC_CLASSES; i++) {
        if (by_class[i] >= WORDS / 10) {
            printf("  %zu blocks of %zu bytes\n", by_class[i], (i + 1) * 16);
        }
    }
}

int main(void)
{
    printf("on libpymalloc %s\n", pymalloc_version());

    /* Free memory waits for a while before it goes back to the system: the option
     * "decay" says how long, here or in the environment (PYMALLOC=decay:5000). */
    char decay[16];
    pymalloc_option_set("decay", "5000");
    pymalloc_option_get("decay", decay, sizeof(decay));
    printf("free memory waits for %s ms\n", decay);

    /* A block takes more than was asked for: a buffer that grows can have the rest. */
    printf("a request of 100 bytes may as well be one of %zu\n",
           pymalloc_good_size(100));

    print_totals("before");
    struct word *words = make_words();
    print_totals("with words");
    print_classes();
    free_words(words);
    print_totals("after");

    /* Or it goes back now, since the program knows that it will not need it. */
    int went_back = pymalloc_purge() > 0;
    print_totals(went_back ? "purged" : "nothing purged");

    /* 0 is sound.  A program would ask this in its tests, or when it has a doubt. */
    return pymalloc_verify() == 0 ? 0 : 1;
}
