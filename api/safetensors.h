/*
 * Reading safetensors: an 8-byte length, a JSON header, then the tensors' bytes, little-endian. Every offset is checked
 * against the size before it is used; only the header's tree is allocated.
 */
#ifndef MODPROP_API_SAFETENSORS_H
#define MODPROP_API_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_MAX 16
#define SAFETENSORS_HEADER_BYTES (1 << 20)

enum tensor_type {
    TENSOR_F32,
    TENSOR_F64,
    TENSOR_I8,
    TENSOR_U8,
    TENSOR_BOOL,
    TENSOR_I16,
    TENSOR_I32,
    TENSOR_I64,
    TENSOR_TYPES
};

struct safetensor {
    char name[64];
    enum tensor_type type;
    int dimensions;
    size_t shape[4];
    size_t count;               /* of entries */
    size_t offset;              /* of its bytes within the file */
    const unsigned char *bytes; /* not aligned; NULL if only the header is in memory */
};

/* What the metadata of a dataset may say, each "" where it does not; what is too long is cut. */
struct safetensors_metadata {
    char loss[16];
    char shape[64], test_shape[64]; /* of spikes */
};

/*
 * The tensors of a file of `size` bytes, of which the first `held` are in memory, at least the header. `strict` refuses
 * everything that the reference library refuses (holes, overlaps, bytes after the last tensor, metadata that are not
 * strings); version 0.1 stored such files. `metadata` may be NULL. False with a sentence.
 */
bool safetensors_parse_header(const unsigned char *bytes, size_t held, size_t size, bool strict,
                              struct safetensor tensors[SAFETENSORS_MAX], int *count,
                              struct safetensors_metadata *metadata, char error[256]);

/* The same, strict, for a file that is entirely in memory. */
bool safetensors_parse(const unsigned char *bytes, size_t size, struct safetensor tensors[SAFETENSORS_MAX], int *count,
                       char error[256]);

/* NULL if there is no tensor of this name. */
const struct safetensor *safetensor_find(const struct safetensor *tensors, int count, const char *name);
double safetensor_number(const struct safetensor *tensor, size_t index);
size_t tensor_type_size(enum tensor_type type);
bool safetensor_is_integer(const struct safetensor *tensor);
const char *tensor_type_name(enum tensor_type type);

#endif
