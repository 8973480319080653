/*
 * What the fuzz harnesses share.
 *
 * A harness is LLVMFuzzerTestOneInput, which decodes bytes into operations, carries
 * them out, and compares what the library does with a model.  It is built three ways:
 * for libFuzzer and for AFL++ (PYM_FUZZER is defined), and as a test that replays the
 * kept corpus (replay.h).
 *
 * Any bytes mean something: an input that has ended reads as zeros, so that a fuzzer
 * may cut and join inputs as it likes.
 */
#ifndef TEST_FUZZ_INPUT_H
#define TEST_FUZZ_INPUT_H

#include "../support.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static inline bool input_ended(const struct input *in)
{
    return in->at == in->end;
}

static inline unsigned input_byte(struct input *in)
{
    return in->at != in->end ? *in->at++ : 0;
}

/* A number in [0, bound); bound is 65536 at most. */
static inline size_t input_below(struct input *in, size_t bound)
{
    size_t number = input_byte(in);
    return (bound > 256 ? number << 8 | input_byte(in) : number) % bound;
}

/* How a harness ends.  A fuzzer knows a finding by the death of the process; the replay
 * looks at what CHECK has counted. */
static inline int input_verdict(void)
{
#ifdef PYM_FUZZER
    if (tap_failures != 0) {
        abort();
    }
#endif
    return 0;
}

#endif
