/*
 * Functions that libpymalloc exports and that the C library's headers may not
 * declare yet, or no longer.
 */
#ifndef TEST_C23_H
#define TEST_C23_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void cfree(void *block);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

#ifdef __cplusplus
}
#endif

#endif
