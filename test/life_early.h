/*
 * What the stages of a program's life do with the heap, from before the first
 * constructor to after the last destructor: shared by the program life_order
 * and a library whose constructor runs before libpymalloc's own.
 */
#ifndef TEST_LIFE_EARLY_H
#define TEST_LIFE_EARLY_H

/* Checks and frees what earlier stages left, allocates, leaves some for later
 * ones, and writes the stage's letter, or '!' if anything was wrong. */
void life_stage(char letter);

#endif
