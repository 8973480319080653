/* Blocks with something in them that nobody else is to see. */
#ifndef TEST_SECRET_H
#define TEST_SECRET_H

#include "abuse.h"

static const char secret[8] = {'s', 'e', 'c', 'r', 'e', 't', '!', '!'};

static char *get_secret(size_t size)
{
    char *block = get(size);
    for (size_t at = 0; at + sizeof(secret) <= size; at += sizeof(secret)) {
        memcpy(block + at, secret, sizeof(secret));
    }
    return hide(block);
}

static int has_secret(const char *block, size_t size)
{
    return memmem(block, size, secret, sizeof(secret)) != NULL;
}

/* The end is not looked at: there are less than a secret's bytes. */
__attribute__((unused)) static const char *describe(const char *block, size_t size)
{
    size_t zeros = 0;
    for (size_t i = 0; i < size; i++) {
        zeros += block[i] == 0;
    }
    return has_secret(block, size) ? "old data" : zeros == size ? "zeroes" : "junk";
}

#endif
