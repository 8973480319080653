/*
 * Makes of a program that is linked with the library one that is not: included
 * before everything else, it runs the program anew under LD_PRELOAD.
 *
 * What the program calls of pymalloc.h is weak, so that the program can be linked
 * and started without the library.
 */
#ifndef TEST_PRELOAD_H
#define TEST_PRELOAD_H

#include "c23.h"
#include <pymalloc/pymalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#pragma weak cfree
#pragma weak free_sized
#pragma weak pymalloc_option_get
#pragma weak pymalloc_option_set
#pragma weak pymalloc_owns
#pragma weak pymalloc_purge
#pragma weak pymalloc_stats
#pragma weak pymalloc_verify
#pragma weak pymalloc_walk

/* glibc gives constructors these arguments. */
__attribute__((constructor(101))) static void preload(int argc, char **argv,
                                                      char **envp)
{
    static const char preloaded[] = PRELOAD_LIBRARY;
    (void)argc;
    (void)envp;
    if (!pymalloc_verify && !getenv("LD_PRELOAD")) {
        setenv("LD_PRELOAD", preloaded, 1);
        execv("/proc/self/exe", argv);
        perror("execv");
        _exit(1);
    }
}

#endif
