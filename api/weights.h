/*
 * Weights documents: JSON and safetensors, written row by row.
 */
#ifndef MODPROP_API_WEIGHTS_H
#define MODPROP_API_WEIGHTS_H

#include "api/job.h"
#include "api/writer.h"
#include "core/train/train.h"

/* SHA-256 over the little-endian float32 bytes of W, Win, b (if there is one), Wout, bout. */
void weights_digest(const struct trained *trained, char hex[65]);

/*
 * What one must know to run a job's weights elsewhere: {"activation", "neuron", "discretization", "tau", "readout",
 * "task"}, and of spiking models "threshold", "dampening" and "refractory"; "readout_tau" where the readout leaks, and
 * "noise" where there is any. NULL if out of memory.
 */
json_t *weights_model(const struct job_spec *spec);

/*
 * {"job", "iteration", "sha256", ...} with the members of `model`; `typed`: with "type":"weights" before it, as the
 * last line of a stream. "mask" says which entries of W are synapses, and "density" is their share off the diagonal:
 * the placeholders of Deep R (1e-12) do not count.
 */
void weights_write_json(struct writer *writer, const struct trained *trained, const json_t *model, const char *job,
                        const char *sha256, bool typed);

/*
 * The safetensors format: tensors W, Win, b, Wout, bout, leak, and of models that adapt rho and beta (F32), types, sign
 * (I32), mask (U8); job, iteration, sha256, density and the members of `model` as metadata, strings that hold JSON
 * where they are not words.
 */
void weights_write_safetensors(struct writer *writer, const struct trained *trained, const json_t *model,
                               const char *job, const char *sha256);

#endif
