/* pymalloc_verify(), where the library has it. */
#ifndef TEST_VERIFY_H
#define TEST_VERIFY_H

int pymalloc_verify(void) __attribute__((weak));

static const char *verify(void)
{
    if (pymalloc_verify == NULL) {
        return "no function";
    }
    int wrong = pymalloc_verify();
    return wrong == 0 ? "verified" : wrong == 1 ? "told 1 error" : "told errors";
}

#endif
