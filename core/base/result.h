/*
 * What every entry point of core returns, and the sentence that explains a failure. It is at the bottom of core so that
 * no file includes upwards for it: network, tasks, engine and training all report in the same way.
 *
 * A failing function fills `text` with what happened and what to do; on success it leaves the error empty.
 */
#ifndef MODPROP_CORE_RESULT_H
#define MODPROP_CORE_RESULT_H

#include <stdint.h>

enum result {
    RESULT_DONE,           /* done; of training: all iterations made, or stop_when met */
    RESULT_STOPPED,        /* by the control word or the stop function */
    RESULT_DIVERGED,       /* a loss or weight is not finite; error names the iteration */
    RESULT_NO_MEMORY,      /* nothing was computed, or training ended because memory ran out */
    RESULT_BAD_CHECKPOINT, /* the given checkpoint is damaged or belongs to another job */
    RESULT_INVALID,        /* the request contradicts itself (shapes of data or of initial weights); error says how */
    RESULT_DEVICE_LOST     /* the device that computed has failed: what it did is lost, and another can do it again */
};

struct error {
    char text[256];
    int64_t iteration; /* RESULT_DIVERGED: where */
};

#endif
