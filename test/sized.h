// Declarations of the sized operator delete, which clang 14 leaves out unless it
// is asked for them; libpymalloc has them all the same.
#ifndef TEST_SIZED_H
#define TEST_SIZED_H

#include <cstddef>
#include <new>

#ifndef __cpp_sized_deallocation
void operator delete(void *block, std::size_t size) noexcept;
void operator delete[](void *block, std::size_t size) noexcept;
void operator delete(void *block, std::size_t size, std::align_val_t align) noexcept;
void operator delete[](void *block, std::size_t size, std::align_val_t align) noexcept;
#endif

#endif
