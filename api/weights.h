/*
 * Weights documents: JSON and safetensors, written row by row.
 */
#ifndef MODPROP_API_WEIGHTS_H
#define MODPROP_API_WEIGHTS_H

#include "api/writer.h"
#include "core/train/train.h"

/* SHA-256 over the little-endian float32 bytes of W, Win, b (if there is one), Wout, bout. */
void weights_digest(const struct trained *trained, char hex[65]);

/* {"job", "iteration", "sha256", ...}; `typed`: with "type":"weights" before it, as the last line of a stream. */
void weights_write_json(struct writer *writer, const struct trained *trained, const char *job, const char *sha256,
                        bool typed);

/*
 * The safetensors format: tensors W, Win, b, Wout, bout, leak (F32), types, sign (I32); job, iteration and sha256 as
 * metadata.
 */
void weights_write_safetensors(struct writer *writer, const struct trained *trained, const char *job,
                               const char *sha256);

#endif
