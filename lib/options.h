/*
 * Options: one list makes the values, their defaults, the parser, what
 * PYMALLOC=help prints, and the manual.
 *
 * PYMALLOC=name:value,name:value in the environment is read once, at the
 * start, and not at all in a program that runs with more rights than its user.
 * Thread-safe: a value is one word, read and written without order; texts are set at
 * the start only.
 */
#ifndef PYM_OPTIONS_H
#define PYM_OPTIONS_H

#include "atomic.h"
#include "harden.h"

/* X(name, kind, default, least, most, settable at run time, meaning) */
#if PYM_HARDENED
#define PYM_OPTION_LIST_HARDENED(X)                                                    \
    X(quarantine, PYM_OPTION_BYTES, 1 << 17, 0, 1 << 24, true,                         \
      "bytes of freed blocks that a thread holds back before they are used again")     \
    X(mismatch, PYM_OPTION_FLAG, 1, 0, 1, true,                                        \
      "blocks of malloc, new and new[] must be freed by free, delete and delete[]")    \
    X(zero, PYM_OPTION_FLAG, 0, 0, 1, false,                                           \
      "overwrite what is freed with zeroes, not with bytes that make errors show")
#else
#define PYM_OPTION_LIST_HARDENED(X)
#endif

#define PYM_OPTION_LIST(X)                                                             \
    PYM_OPTION_LIST_HARDENED(X)                                                        \
    X(abort, PYM_OPTION_FLAG, 1, 0, 1, true,                                           \
      "abort after a report of misuse of the heap; 0: leave the wrong call out and "   \
      "go "                                                                            \
      "on where that is safe")                                                         \
    X(help, PYM_OPTION_FLAG, 0, 0, 1, false, "list the options at the start")          \
    X(stats, PYM_OPTION_REPORT, 0, 0, 2, true,                                         \
      "print a report at exit: 1 for people, json for programs")                       \
    X(stats_file, PYM_OPTION_TEXT, 0, 0, PYM_OPTION_TEXT_MOST, false,                  \
      "the file for reports, not standard error; %p in it is the process's id, %n "    \
      "counts its reports")                                                            \
    X(serve, PYM_OPTION_FLAG, 0, 0, 1, false,                                          \
      "let the tool pymalloc look into the running process: a thread answers it")      \
    X(signal, PYM_OPTION_NUMBER, 0, 0, 64, false,                                      \
      "the number of a signal at which reports are written; 0: none")                  \
    X(cache, PYM_OPTION_BYTES, 1 << 24, 0, 1 << 30, true,                              \
      "bytes of freed system blocks that a thread keeps at most, and that lie "        \
      "between threads; 0 at the start: none")                                         \
    X(decay, PYM_OPTION_NUMBER, 250, 0, 3600000, true,                                 \
      "milliseconds that free pools wait before their memory goes back; 0: none, and " \
      "the system allocator is not tuned to wait, either")                             \
    X(remote, PYM_OPTION_BYTES, 32768, 0, 1 << 20, true,                               \
      "bytes of other threads' blocks that a thread collects before it sends them "    \
      "back")                                                                          \
    X(header, PYM_OPTION_NUMBER, 0, 0, 48, true,                                       \
      "bytes of header in front of the program's objects, in steps of 16: which part " \
      "of them is aligned to cache lines (with PYTHONMALLOC=malloc: 16)")              \
    X(huge, PYM_OPTION_FLAG, 1, 0, 1, true,                                            \
      "huge pages, where they cost less time than small ones, for many small blocks "  \
      "and for large blocks where the program has used all of those before")           \
    X(deepbind, PYM_OPTION_FLAG, 0, 0, 1, true,                                        \
      "let dlopen honour RTLD_DEEPBIND, which hides this library's free")              \
    X(valgrind, PYM_OPTION_FLAG, 1, 0, 1, false,                                       \
      "under valgrind or a sanitizer, leave every block to it: it finds errors as "    \
      "without this library")                                                          \
    X(guard, PYM_OPTION_NUMBER, 0, 0, 1000000000, false,                               \
      "one block in so many, at random, gets a page of its own between unreadable "    \
      "ones: errors are told with stacks; 0: none")                                    \
    X(profile, PYM_OPTION_BYTES, 0, 0, (size_t)1 << 40, false,                         \
      "a heap profile with one sample in so many bytes, such as 512k, is written at "  \
      "exit; 0: none")                                                                 \
    X(profile_file, PYM_OPTION_TEXT, 0, 0, PYM_OPTION_TEXT_MOST, false,                \
      "the file for profiles, not pymalloc.%p.%n.heap")                                \
    X(reserve, PYM_OPTION_BYTES, (size_t)256 << 30, 0, (size_t)256 << 30, false,       \
      "bytes of address range for small blocks; 0: the system allocator serves them")

enum pym_option_kind {
    PYM_OPTION_FLAG,
    PYM_OPTION_NUMBER,
    PYM_OPTION_BYTES,  /* a number that may end in k, m or g */
    PYM_OPTION_REPORT, /* 0, 1, or the word json, which is PYM_REPORT_JSON */
    PYM_OPTION_TEXT,   /* anything; the value is its length */
};

enum { PYM_REPORT_JSON = 2, PYM_OPTION_TEXT_MOST = 255 };

struct pym_options {
#define PYM_OPTION_FIELD(name, kind, initial, least, most, settable, meaning)          \
    _Atomic size_t name;
    PYM_OPTION_LIST(PYM_OPTION_FIELD)
#undef PYM_OPTION_FIELD
};

extern struct pym_options pym_options PYM_HIDDEN;

#define PYM_OPTION(name) atomic_load_explicit(&pym_options.name, memory_order_relaxed)

/* The text of a PYM_OPTION_TEXT; NULL if there is none. */
#define PYM_OPTION_TEXT_OF(name) pym_options_text(&pym_options.name)
const char *pym_options_text(const _Atomic size_t *value);

/* Reads the environment, if that has not been done and can be done yet.
 * Called before other threads exist, or repeated without effect. */
void pym_options_init(void);

/* The same for a given text; what it does not understand is warned about. */
void pym_options_parse(const char *text);

/* See pymalloc_option_get and pymalloc_option_set. */
int pym_options_get(const char *name, char *value, size_t size);
int pym_options_set(const char *name, const char *value);

/* Writes the list of options with their values and meanings. */
void pym_options_list(int fd);

/* Calls look for each option, with its value as text. */
void pym_options_each(void (*look)(const char *name, const char *value, void *arg),
                      void *arg);

#endif
