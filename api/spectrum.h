/* GET /v1/jobs/{id}/spectrum, as JSON and as CSV. */
#ifndef MODPROP_API_SPECTRUM_H
#define MODPROP_API_SPECTRUM_H

#include <stdint.h>

#include "api/writer.h"
#include "core/train/spectrum.h"

#define SPECTRUM_WORK_MAX 6e10 /* multiply-adds of one request: about 2150 units, half a minute */

/* {"job", "iteration", "sha256" of the weights, "units", "spectral_radius", "real", "imaginary", "multiply_adds"} */
void spectrum_write_json(struct writer *writer, const struct spectrum *spectrum, const char *job, int64_t iteration,
                         const char *sha256);
/* A line of names, "real,imaginary", then one eigenvalue a line. */
void spectrum_write_csv(struct writer *writer, const struct spectrum *spectrum);

#endif
