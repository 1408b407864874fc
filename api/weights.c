#include "api/weights.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the bytes of weights are written as they lie in memory");

void weights_digest(const struct trained *trained, char hex[65]) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, trained->parameters * sizeof(float), (const uint8_t *)trained->W);
    sha256_digest(&context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

void weights_write_json(struct writer *writer, const struct trained *trained, const char *job, const char *sha256,
                        bool typed) {
    size_t N = (size_t)trained->units, I = (size_t)trained->inputs, O = (size_t)trained->outputs;
    char head[320];
    snprintf(
        head, sizeof head,
        "{%s\"job\":\"%s\",\"iteration\":%lld,\"sha256\":\"%s\",\"units\":%zu,\"inputs\":%zu,\"outputs\":%zu,\"W\":",
        typed ? "\"type\":\"weights\"," : "", job, (long long)trained->iteration, sha256, N, I, O);
    writer_text(writer, head);
    writer_matrix(writer, trained->W, N, N);
    writer_text(writer, ",\"Win\":");
    writer_matrix(writer, trained->Win, I, N);
    writer_text(writer, ",\"b\":");
    if (trained->b != NULL) {
        writer_vector(writer, trained->b, N);
    } else {
        writer_text(writer, "null");
    }
    writer_text(writer, ",\"Wout\":");
    writer_matrix(writer, trained->Wout, N, O);
    writer_text(writer, ",\"bout\":");
    writer_vector(writer, trained->bout, O);
    writer_text(writer, ",\"leak\":");
    writer_vector(writer, trained->leak, N);
    writer_text(writer, ",\"types\":");
    writer_integers(writer, trained->type_of_unit, N);
    writer_text(writer, ",\"sign\":");
    writer_integers(writer, trained->sign_of_unit, N);
    writer_text(writer, "}");
}

struct tensor {
    const char *name, *type;
    size_t rows, columns; /* columns 0: a vector */
    const void *bytes;
};

static size_t tensor_bytes(const struct tensor *tensor) {
    return tensor->rows * (tensor->columns == 0 ? 1 : tensor->columns) * 4;
}

void weights_write_safetensors(struct writer *writer, const struct trained *trained, const char *job,
                               const char *sha256) {
    size_t N = (size_t)trained->units, I = (size_t)trained->inputs, O = (size_t)trained->outputs, offset = 0;
    const struct tensor tensors[] = {
        {"W", "F32", N, N, trained->W},
        {"Win", "F32", I, N, trained->Win},
        {"b", "F32", N, 0, trained->b},
        {"Wout", "F32", N, O, trained->Wout},
        {"bout", "F32", O, 0, trained->bout},
        {"leak", "F32", N, 0, trained->leak},
        {"types", "I32", N, 0, trained->type_of_unit},
        {"sign", "I32", N, 0, trained->sign_of_unit},
    };
    char head[2048];
    int used = snprintf(
        head, sizeof head,
        "{\"__metadata__\":{\"format\":\"modprop\",\"job\":\"%s\",\"iteration\":\"%lld\",\"sha256\":\"%s\"}", job,
        (long long)trained->iteration, sha256);
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        const struct tensor *t = &tensors[i];
        if (t->bytes == NULL) {
            continue;
        }
        char columns[24] = "";
        if (t->columns > 0) {
            snprintf(columns, sizeof columns, ",%zu", t->columns);
        }
        used += snprintf(head + used, sizeof head - (size_t)used,
                         ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu%s],\"data_offsets\":[%zu,%zu]}", t->name, t->type,
                         t->rows, columns, offset, offset + tensor_bytes(t));
        offset += tensor_bytes(t);
    }
    used += snprintf(head + used, sizeof head - (size_t)used, "}");
    while (used % 8 != 0) {
        head[used++] = ' '; /* data begin aligned */
    }
    uint64_t length = (uint64_t)used;
    writer_bytes(writer, &length, sizeof length);
    writer_bytes(writer, head, (size_t)used);
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        if (tensors[i].bytes != NULL) {
            writer_bytes(writer, tensors[i].bytes, tensor_bytes(&tensors[i]));
        }
    }
}
