/*
 * Hash maps that grow: chained maps with string keys, whose nodes and keys are small
 * blocks and whose tables double by calloc until they are large.  One big map is
 * filled, thinned out and filled again, while hundreds of thousands of small ones come
 * and go.
 */
#include "common.h"

enum {
    KEYS = 200000,
    SMALL_MAPS = 100000,
    SMALL_LIVE = 2000,
    SMALL_KEYS = 40,
    ROUNDS = 2
};

struct node {
    struct node *next;
    char *key;
    uint64_t value;
};

struct map {
    struct node **table;
    size_t room;
    size_t n;
};

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 5381;

    for (; *text != '\0'; text++)
        hash = hash * 33 ^ (unsigned char)*text;
    return hash * UINT64_C(0x9e3779b97f4a7c15) >> 20;
}

static struct map *map_new(void)
{
    struct map *map = bench_must(malloc(sizeof *map));

    map->room = 8;
    map->n = 0;
    map->table = bench_must(calloc(map->room, sizeof(struct node *)));
    return map;
}

static void map_grow(struct map *map)
{
    size_t room = 2 * map->room;
    struct node **table = bench_must(calloc(room, sizeof(struct node *)));

    for (size_t i = 0; i < map->room; i++) {
        struct node *node = map->table[i];

        while (node != NULL) {
            struct node *next = node->next;
            struct node **place = &table[hash_text(node->key) % room];

            node->next = *place;
            *place = node;
            node = next;
        }
    }
    free(map->table);
    map->table = table;
    map->room = room;
}

/* The link that points to the key's node, or the null link where it would hang. */
static struct node **map_find(struct map *map, const char *key)
{
    struct node **link = &map->table[hash_text(key) % map->room];

    while (*link != NULL && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    return link;
}

static void map_put(struct map *map, const char *key, uint64_t value)
{
    struct node **link;

    if (map->n == map->room)
        map_grow(map);
    link = map_find(map, key);
    if (*link == NULL) {
        *link = bench_must(malloc(sizeof **link));
        (*link)->next = NULL;
        (*link)->key = bench_must(strdup(key));
        map->n++;
    }
    (*link)->value = value;
}

static void map_remove(struct map *map, const char *key)
{
    struct node **link = map_find(map, key);
    struct node *node = *link;

    if (node == NULL)
        bench_die("key %s is missing", key);
    *link = node->next;
    free(node->key);
    free(node);
    map->n--;
}

static void map_free(struct map *map)
{
    for (size_t i = 0; i < map->room; i++) {
        struct node *node = map->table[i];

        while (node != NULL) {
            struct node *next = node->next;

            free(node->key);
            free(node);
            node = next;
        }
    }
    free(map->table);
    free(map);
}

/* The name of key i: 2 to 55 bytes.  By hand, because printf would cost more than all
 * the rest. */
static const char *key_name(char text[64], size_t i)
{
    static const char filler[] = "_a_rather_long_name_for_a_key_in_a_map_of_names_";
    size_t filled = i * 7 % 47;
    char *p = text;

    for (size_t left = i; left > 0 || p == text; left /= 10)
        *p++ = (char)('0' + left % 10);
    memcpy(p, filler, filled);
    p[filled] = '\0';
    return text;
}

static void check_keys(struct map *map, size_t keys, size_t stride)
{
    char text[64];

    for (size_t i = 0; i < keys; i += stride) {
        struct node *node = *map_find(map, key_name(text, i));

        if (node == NULL || node->value != i)
            bench_die("key %s has a wrong value", text);
    }
}

static void one_big_map(size_t keys)
{
    struct map *map = map_new();
    char text[64];

    for (size_t i = 0; i < keys; i++)
        map_put(map, key_name(text, i), i);
    check_keys(map, keys, 1);
    for (size_t i = 0; i < keys; i++) {
        if (i % 5 != 0)
            map_remove(map, key_name(text, i));
    }
    check_keys(map, keys, 5);
    for (size_t i = 0; i < keys; i++)
        map_put(map, key_name(text, i), i);
    check_keys(map, keys, 1);
    map_free(map);
}

static void many_small_maps(size_t maps, struct bench_rng *rng)
{
    struct map **live = bench_must(calloc(SMALL_LIVE, sizeof(struct map *)));
    char text[64];

    for (size_t m = 0; m < maps; m++) {
        struct map **slot = &live[bench_rng_below(rng, SMALL_LIVE)];
        size_t keys = bench_rng_doubling(rng, 1, SMALL_KEYS);

        if (*slot != NULL)
            map_free(*slot);
        *slot = map_new();
        for (size_t i = 0; i < keys; i++)
            map_put(*slot, key_name(text, i), i);
        check_keys(*slot, keys, 1);
    }
    for (size_t i = 0; i < SMALL_LIVE; i++) {
        if (live[i] != NULL)
            map_free(live[i]);
    }
    free(live);
}

static void work(size_t index, void *arg)
{
    size_t rounds = *(const size_t *)arg;
    struct bench_rng rng = bench_rng_make(index);

    for (size_t i = 0; i < rounds; i++) {
        one_big_map(KEYS);
        many_small_maps(SMALL_MAPS, &rng);
    }
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t rounds = bench_scaled(&args, ROUNDS);
    double seconds = bench_run_threads(args.threads, work, &rounds);

    bench_result("hashmap", &args, args.threads * rounds * (2 * KEYS + SMALL_MAPS),
                 seconds);
    return 0;
}
