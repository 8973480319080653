/* The functions of C23, where the library has them. */
#ifndef TEST_SIZED_H
#define TEST_SIZED_H

#include "abuse.h"

void free_sized(void *block, size_t size) __attribute__((weak));
void free_aligned_sized(void *block, size_t alignment, size_t size)
    __attribute__((weak));

#endif
