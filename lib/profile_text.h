/*
 * The heap profile for its readers: as text of its own, and as part of a snapshot.
 * Thread-safe.
 */
#ifndef PYM_PROFILE_TEXT_H
#define PYM_PROFILE_TEXT_H

#include "json.h"

/* Notes the time.  When the profile begins. */
void pym_profile_text_init(void);

/* Writes the profile in the text form that jeprof reads, and more behind that; reason
 * says why.  Tells whether the descriptor took everything. */
bool pym_profile_write(int fd, const char *reason);

/* Adds the live samples to a snapshot. */
void pym_profile_write_samples(struct pym_json *json);

#endif
