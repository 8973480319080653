/*
 * JSON, written to a descriptor as it comes: no tree, no allocation, a buffer in the
 * caller's structure.
 *
 * Keys are NULL for the elements of an array and for the whole document, and are
 * written as they are.  Texts may hold any bytes: what is no UTF-8 is written as the
 * replacement character.
 *
 * A writer is one thread's.
 */
#ifndef PYM_JSON_H
#define PYM_JSON_H

#include "writer.h"

struct pym_json {
    struct pym_writer writer;
    bool follows; /* another member comes before what is next */
};

void pym_json_begin(struct pym_json *json, int fd);

/* Containers: '{' and '}', '[' and ']'. */
void pym_json_open(struct pym_json *json, const char *key, char bracket);
void pym_json_close(struct pym_json *json, char bracket);

void pym_json_number(struct pym_json *json, const char *key, uint64_t value);
void pym_json_address(struct pym_json *json, const char *key, uintptr_t value);
void pym_json_text(struct pym_json *json, const char *key, const char *value);
void pym_json_null(struct pym_json *json, const char *key);

/* Bytes of the UTF-8 character that a text starts with; 0 if it is none. */
size_t pym_json_character(const char *start);

/* Ends the line and writes what is left; tells whether everything was written. */
bool pym_json_finish(struct pym_json *json);

#endif
