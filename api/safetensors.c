#include "api/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/problem.h"

static const struct {
    const char *name;
    size_t size;
} types[TENSOR_TYPES] = {{"F32", 4}, {"F64", 8}, {"I8", 1}, {"U8", 1}, {"BOOL", 1}, {"I16", 2}, {"I32", 4}, {"I64", 8}};

const char *tensor_type_name(enum tensor_type type) {
    return types[type].name;
}

size_t tensor_type_size(enum tensor_type type) {
    return types[type].size;
}

static bool fail(char *error, const char *name, const char *what) {
    snprintf(error, 256, "the tensor \"%.60s\" %s", name, what);
    return false;
}

static bool read_shape(const json_t *shape, struct safetensor *tensor, char *error) {
    tensor->dimensions = (int)json_array_size(shape);
    tensor->count = 1;
    if (!json_is_array(shape) || tensor->dimensions > 4) {
        return fail(error, tensor->name, "must have a shape of at most 4 dimensions");
    }
    for (int i = 0; i < tensor->dimensions; i++) {
        const json_t *length = json_array_get(shape, (size_t)i);
        if (!json_is_integer(length) || json_integer_value(length) < 0) {
            return fail(error, tensor->name, "must have a shape of integers of at least 0");
        }
        tensor->shape[i] = (size_t)json_integer_value(length);
        if (__builtin_mul_overflow(tensor->count, tensor->shape[i], &tensor->count)) {
            return fail(error, tensor->name, "has too many entries");
        }
    }
    return true;
}

/* `data`: where the tensors' bytes start in the file; `size`: how many there are. */
static bool read_tensor(const char *name, const json_t *value, size_t data, size_t size, struct safetensor *tensor,
                        char *error) {
    const char *type = json_string_value(json_object_get(value, "dtype"));
    const json_t *offsets = json_object_get(value, "data_offsets"), *begin = json_array_get(offsets, 0),
                 *end = json_array_get(offsets, 1);
    size_t bytes;
    if (strlen(name) >= sizeof tensor->name) {
        return fail(error, name, "has a name of more than 63 bytes");
    }
    memcpy(tensor->name, name, strlen(name) + 1);
    int i = 0;
    while (i < TENSOR_TYPES && (type == NULL || strcmp(types[i].name, type) != 0)) {
        i++;
    }
    if (i == TENSOR_TYPES) {
        return fail(error, name, "must have the dtype F32, F64, I8, U8, BOOL, I16, I32 or I64");
    }
    tensor->type = (enum tensor_type)i;
    if (!read_shape(json_object_get(value, "shape"), tensor, error)) {
        return false;
    }
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin) ||
        (uint64_t)json_integer_value(end) > size) {
        return fail(error, name, "must have data_offsets within the file");
    }
    if (__builtin_mul_overflow(tensor->count, types[i].size, &bytes) ||
        bytes != (size_t)(json_integer_value(end) - json_integer_value(begin))) {
        return fail(error, name, "must have as many bytes as its shape and dtype say");
    }
    tensor->offset = data + (size_t)json_integer_value(begin);
    tensor->bytes = NULL;
    return true;
}

static size_t tensor_end(const struct safetensor *tensor) {
    return tensor->offset + tensor->count * types[tensor->type].size;
}

static int by_place(const void *a, const void *b) {
    const struct safetensor *one = a, *other = b;
    if (one->offset != other->offset) {
        return one->offset < other->offset ? -1 : 1;
    }
    return tensor_end(one) < tensor_end(other) ? -1 : tensor_end(one) > tensor_end(other);
}

/* Whether the tensors' bytes follow each other from the header to the end of the file without a hole. */
static bool tensors_follow(const struct safetensor *tensors, int count, size_t data, size_t size, char *error) {
    struct safetensor sorted[SAFETENSORS_MAX];
    size_t end = data;
    memcpy(sorted, tensors, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_place);
    for (int i = 0; i < count; i++) {
        if (sorted[i].offset != end) {
            return fail(error, sorted[i].name,
                        sorted[i].offset < end ? "overlaps the one before it: write the file again"
                                               : "has a hole in front of it: write the file again");
        }
        end = tensor_end(&sorted[i]);
    }
    if (end != size) {
        snprintf(error, 256, "the file has %zu bytes after its last tensor: write it again", size - end);
        return false;
    }
    return true;
}

/* `name` of the metadata; "" if there is none. */
static void read_entry(const json_t *metadata, const char *name, char *text, size_t room) {
    const char *value = json_string_value(json_object_get(metadata, name));
    snprintf(text, room, "%s", value == NULL ? "" : value);
}

static bool read_metadata(const json_t *document, bool strict, struct safetensors_metadata *metadata, char *error) {
    const char *key;
    json_t *value;
    bool ok = !strict || document == NULL || json_is_object(document);
    json_object_foreach((json_t *)(uintptr_t)document, key, value) {
        ok = ok && (!strict || json_is_string(value));
    }
    if (metadata != NULL) {
        read_entry(document, "loss", metadata->loss, sizeof metadata->loss);
        read_entry(document, "shape", metadata->shape, sizeof metadata->shape);
        read_entry(document, "test_shape", metadata->test_shape, sizeof metadata->test_shape);
    }
    if (!ok) {
        snprintf(error, 256, "__metadata__ must be an object whose members are strings");
    }
    return ok;
}

/* The header's tree and its length; NULL with a sentence. */
static json_t *read_header(const unsigned char *bytes, size_t held, size_t size, bool strict, uint64_t *length,
                           char *error) {
    char fault[256];
    *length = 0;
    if (held >= 8) {
        memcpy(length, bytes, 8);
    }
    if (held < 8 || *length == 0 || *length > SAFETENSORS_HEADER_BYTES || *length > held - 8 || *length > size - 8) {
        snprintf(error, 256, "this is not a safetensors file: it must begin with the header's length, at most %d bytes",
                 SAFETENSORS_HEADER_BYTES);
        return NULL;
    }
    if (strict && bytes[8] != '{') {
        snprintf(error, 256, "the safetensors header is not a JSON object: it must begin with {");
        return NULL;
    }
    json_t *header = json_parse((const char *)bytes + 8, (size_t)*length, fault);
    if (header == NULL) {
        snprintf(error, 256, "the safetensors header is not a JSON object: %.180s", fault);
    }
    return header;
}

bool safetensors_parse_header(const unsigned char *bytes, size_t held, size_t size, bool strict,
                              struct safetensor tensors[SAFETENSORS_MAX], int *count,
                              struct safetensors_metadata *metadata, char error[256]) {
    uint64_t length;
    const char *name;
    json_t *value, *header = read_header(bytes, held, size, strict, &length, error);
    if (header == NULL) {
        return false;
    }
    size_t data = 8 + (size_t)length;
    *count = 0;
    bool ok = read_metadata(json_object_get(header, "__metadata__"), strict, metadata, error);
    json_object_foreach(header, name, value) {
        if (ok && strcmp(name, "__metadata__") != 0) {
            ok = *count < SAFETENSORS_MAX ? read_tensor(name, value, data, size - data, &tensors[*count], error)
                                          : fail(error, name, "is one too many");
            *count += ok;
        }
    }
    json_decref(header);
    return ok && (!strict || tensors_follow(tensors, *count, data, size, error));
}

bool safetensors_parse(const unsigned char *bytes, size_t size, struct safetensor tensors[SAFETENSORS_MAX], int *count,
                       char error[256]) {
    if (!safetensors_parse_header(bytes, size, size, true, tensors, count, NULL, error)) {
        return false;
    }
    for (int i = 0; i < *count; i++) {
        tensors[i].bytes = bytes + tensors[i].offset;
    }
    return true;
}

const struct safetensor *safetensor_find(const struct safetensor *tensors, int count, const char *name) {
    for (int i = 0; i < count; i++) {
        if (strcmp(tensors[i].name, name) == 0) {
            return &tensors[i];
        }
    }
    return NULL;
}

bool safetensor_is_integer(const struct safetensor *tensor) {
    return tensor->type != TENSOR_F32 && tensor->type != TENSOR_F64;
}

#define ENTRY(type_of_c)                                                                                               \
    do {                                                                                                               \
        type_of_c entry;                                                                                               \
        memcpy(&entry, tensor->bytes + index * sizeof entry, sizeof entry);                                            \
        return (double)entry;                                                                                          \
    } while (0)

double safetensor_number(const struct safetensor *tensor, size_t index) {
    switch (tensor->type) {
    case TENSOR_F32:
        ENTRY(float);
    case TENSOR_F64:
        ENTRY(double);
    case TENSOR_I8:
        ENTRY(int8_t);
    case TENSOR_I16:
        ENTRY(int16_t);
    case TENSOR_I32:
        ENTRY(int32_t);
    case TENSOR_I64:
        ENTRY(int64_t);
    default:
        ENTRY(uint8_t);
    }
}
