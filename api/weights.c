#include "api/weights.h"

#include <assert.h>
#include <math.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "core/model/neuron.h"

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

/* What weights documents have called the membrane since version 0.1. */
static const char *neuron_word(enum neuron neuron) {
    return neuron == NEURON_MEMBRANE ? "leaky" : neuron_table[neuron]->name;
}

json_t *weights_model(const struct job_spec *spec) {
    json_t *job = job_spec_encode(spec, false), *network = json_object_get(job, "network"),
           *task = json_object_get(job, "task");
    const struct network_config *config = &spec->config.network;
    json_t *model = json_object();
    /* time constants and draws of the adaptation are in the arrays rho and beta */
    static const char *const taken[] = {"activation", "discretization", "tau",         "threshold",
                                        "dampening",  "refractory",     "readout_tau", "noise"};
    bool ok = job != NULL;
    for (size_t i = 0; ok && i < sizeof taken / sizeof *taken; i++) {
        json_t *value = json_object_get(network, taken[i]);
        ok = value == NULL || json_is_null(value) || json_object_set(model, taken[i], value) == 0;
        if (ok && i == 0) {
            ok = json_object_set_new(model, "neuron", json_string(neuron_word(config->neuron))) == 0;
        }
    }
    ok = ok && json_object_set_new(model, "readout", json_string(config->readout_tau.set ? "leaky" : "linear")) == 0 &&
         json_object_set(model, "task", task) == 0;
    json_decref(job);
    if (!ok) {
        json_decref(model);
        return NULL;
    }
    return model;
}

/* ---- synapses ---- */

static bool synapse_exists(const struct trained *trained, size_t from, size_t to) {
    return fabsf(trained->W[from * (size_t)trained->units + to]) > DEEP_R_PLACEHOLDER;
}

/* Share of the entries off the diagonal, which is always empty; 0 for a single unit. */
static double density(const struct trained *trained) {
    size_t n = (size_t)trained->units, count = 0;
    for (size_t i = 0; i < n * n; i++) {
        count += i / n != i % n && synapse_exists(trained, i / n, i % n);
    }
    return n > 1 ? (double)count / ((double)n * (double)(n - 1)) : 0;
}

/* The mask row by row: digits separated by commas, or one byte per entry. */
static void mask_write(struct writer *writer, const struct trained *trained, bool as_json) {
    enum { TOGETHER = 1024 };
    size_t n = (size_t)trained->units;
    for (size_t q = 0; q < n; q++) {
        char text[2 * TOGETHER];
        size_t used = 0;
        writer_text(writer, !as_json ? "" : q == 0 ? "[[" : "],[");
        for (size_t p = 0; p < n; p++) {
            if (as_json && p > 0) {
                text[used++] = ',';
            }
            text[used++] = (char)((as_json ? '0' : 0) + synapse_exists(trained, q, p));
            if (used >= sizeof text - 1 || p == n - 1) {
                writer_bytes(writer, text, used);
                used = 0;
            }
        }
    }
    writer_text(writer, as_json ? "]]" : "");
}

/* ---- JSON ---- */

/* The members of an object, without its braces. */
static void write_members(struct writer *writer, const json_t *object) {
    char *text = json_text(object, NULL);
    if (text == NULL) {
        writer->failed = true;
        return;
    }
    writer_bytes(writer, text + 1, strlen(text) - 2);
    free(text);
}

void weights_write_json(struct writer *writer, const struct trained *trained, const json_t *model, const char *job,
                        const char *sha256, bool typed) {
    size_t N = (size_t)trained->units, I = (size_t)trained->inputs, O = (size_t)trained->outputs;
    char text[320];
    snprintf(text, sizeof text,
             "{%s\"job\":\"%s\",\"iteration\":%lld,\"sha256\":\"%s\",\"units\":%zu,\"inputs\":%zu,\"outputs\":%zu,",
             typed ? "\"type\":\"weights\"," : "", job, (long long)trained->iteration, sha256, N, I, O);
    writer_text(writer, text);
    write_members(writer, model);
    writer_text(writer, ",\"W\":");
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
    if (trained->rho != NULL) {
        writer_text(writer, ",\"rho\":");
        writer_vector(writer, trained->rho, N);
        writer_text(writer, ",\"beta\":");
        writer_vector(writer, trained->beta, N);
    }
    writer_text(writer, ",\"types\":");
    writer_integers(writer, trained->type_of_unit, N);
    writer_text(writer, ",\"sign\":");
    writer_integers(writer, trained->sign_of_unit, N);
    snprintf(text, sizeof text, ",\"density\":%.9g,\"mask\":", density(trained));
    writer_text(writer, text);
    mask_write(writer, trained, true);
    writer_text(writer, "}");
}

/* ---- safetensors ---- */

struct tensor {
    const char *name, *type;
    size_t rows, columns; /* columns 0: a vector */
    size_t bytes_each;
    const void *bytes;
};

static size_t tensor_bytes(const struct tensor *tensor) {
    return tensor->rows * (tensor->columns == 0 ? 1 : tensor->columns) * tensor->bytes_each;
}

/* Its values are strings: a value that is not a string is written as JSON text. */
static json_t *metadata(const struct trained *trained, const json_t *model, const char *job, const char *sha256) {
    json_t *all = json_pack("{s:s, s:s, s:o, s:s, s:o}", "format", "modprop", "job", job, "iteration",
                            json_sprintf("%lld", (long long)trained->iteration), "sha256", sha256, "density",
                            json_sprintf("%.9g", density(trained)));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)model, name, value) {
        char *text = json_is_string(value) ? NULL : json_text(value, NULL);
        json_object_set_new(all, name, text == NULL ? json_incref(value) : json_string(text));
        free(text);
    }
    return all;
}

static char *header_text(const struct tensor *tensors, size_t count, json_t *about) {
    json_t *header = json_pack("{s:o}", "__metadata__", about);
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tensor *t = &tensors[i];
        json_t *shape = t->columns == 0 ? json_pack("[I]", (json_int_t)t->rows)
                                        : json_pack("[I, I]", (json_int_t)t->rows, (json_int_t)t->columns);
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->type, "shape", shape, "data_offsets",
                                      (json_int_t)offset, (json_int_t)offset + (json_int_t)tensor_bytes(t)));
        offset += tensor_bytes(t);
    }
    char *text = json_object_size(header) == count + 1 ? json_text(header, NULL) : NULL;
    json_decref(header);
    return text;
}

void weights_write_safetensors(struct writer *writer, const struct trained *trained, const json_t *model,
                               const char *job, const char *sha256) {
    size_t N = (size_t)trained->units, I = (size_t)trained->inputs, O = (size_t)trained->outputs, count = 0;
    const struct tensor all[] = {
        {"W", "F32", N, N, 4, trained->W},
        {"Win", "F32", I, N, 4, trained->Win},
        {"b", "F32", N, 0, 4, trained->b},
        {"Wout", "F32", N, O, 4, trained->Wout},
        {"bout", "F32", O, 0, 4, trained->bout},
        {"leak", "F32", N, 0, 4, trained->leak},
        {"rho", "F32", N, 0, 4, trained->rho},
        {"beta", "F32", N, 0, 4, trained->beta},
        {"types", "I32", N, 0, 4, trained->type_of_unit},
        {"sign", "I32", N, 0, 4, trained->sign_of_unit},
        {"mask", "U8", N, N, 1, NULL}, /* the last tensor, since after its bytes nothing would be aligned */
    };
    struct tensor tensors[sizeof all / sizeof all[0]];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].bytes != NULL || all[i].bytes_each == 1) {
            tensors[count++] = all[i];
        }
    }
    char *head = header_text(tensors, count, metadata(trained, model, job, sha256));
    if (head == NULL) {
        writer->failed = true;
        return;
    }
    uint64_t used = strlen(head), length = (used + 7) / 8 * 8; /* data begin aligned */
    writer_bytes(writer, &length, sizeof length);
    writer_bytes(writer, head, used);
    writer_bytes(writer, "       ", length - used);
    free(head);
    for (size_t i = 0; i + 1 < count; i++) {
        writer_bytes(writer, tensors[i].bytes, tensor_bytes(&tensors[i]));
    }
    mask_write(writer, trained, false);
}
