/*
 * A dataset's file: see files.h.
 *
 * One pass over the file computes the digest and passes each tensor's entries, block by block, to the check or to the
 * loader. Tensors may be in any order in the file; the entries of one tensor come in order.
 */
#include "server/datasets/files.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/safetensors.h"

#define OUTPUTS_MAX 4096
#define LENGTH_MAX INT32_MAX
#define BLOCK_BYTES ((size_t)1 << 20)
#define HEADER_MOST (8 + SAFETENSORS_HEADER_BYTES)

bool dataset_name_is_valid(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length < DATASET_NAME_BYTES && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

/* ---- a file that is read in blocks ---- */

struct blocks {
    int descriptor;
    size_t size;
    unsigned char *block; /* BLOCK_BYTES, with space for the header in front */
};

/* 0, or an errno. A file that ends before its size gives EIO. */
static int read_at(const struct blocks *blocks, size_t offset, unsigned char *to, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(blocks->descriptor, to + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got == 0) {
            return EIO;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int blocks_open(struct blocks *blocks, const char *path) {
    struct stat status;
    *blocks = (struct blocks){.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (blocks->descriptor < 0 || fstat(blocks->descriptor, &status) != 0) {
        return errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return EINVAL;
    }
    blocks->size = (size_t)status.st_size;
    blocks->block = malloc(BLOCK_BYTES > HEADER_MOST ? BLOCK_BYTES : HEADER_MOST);
    return blocks->block == NULL ? ENOMEM : 0;
}

static void blocks_close(struct blocks *blocks) {
    free(blocks->block);
    if (blocks->descriptor >= 0) {
        close(blocks->descriptor);
    }
}

static enum dataset_result unreadable(int number, char *error) {
    snprintf(error, DATASET_ERROR_BYTES, "the dataset's file cannot be read: %s", strerror(number));
    return DATASET_UNREADABLE;
}

/* ---- what a file holds ---- */

struct split {
    const struct safetensor *inputs, *targets, *mask; /* NULL: none */
};

struct layout {
    struct safetensor tensors[SAFETENSORS_MAX];
    int count;
    struct split train, test;
    char loss[16];                       /* of the metadata */
    const struct safetensor *weights[5]; /* W, Win, b, Wout, bout; b NULL: none. W NULL: these are no weights */
};

static bool fail(char *error, const char *sentence) {
    snprintf(error, DATASET_ERROR_BYTES, "%s", sentence);
    return false;
}

/* "F32 (12, 30, 2)": a tensor's type and shape. */
static const char *tensor_quote(const struct safetensor *tensor, char text[128]) {
    int used = snprintf(text, 128, "%s (", tensor_type_name(tensor->type));
    for (int i = 0; i < tensor->dimensions; i++) {
        used += snprintf(text + used, 128 - (size_t)used, "%s%zu", i == 0 ? "" : ", ", tensor->shape[i]);
    }
    snprintf(text + used, 128 - (size_t)used, ")");
    return text;
}

/* "[3, 0, 1]": the position of an entry, each index from 0. */
static const char *entry_quote(const struct safetensor *tensor, size_t entry, char text[128]) {
    size_t below = tensor->count;
    int used = snprintf(text, 128, "[");
    for (int i = 0; i < tensor->dimensions; i++) {
        below /= tensor->shape[i];
        used += snprintf(text + used, 128 - (size_t)used, "%s%zu", i == 0 ? "" : ", ",
                         entry / below % tensor->shape[i]);
    }
    snprintf(text + used, 128 - (size_t)used, "]");
    return text;
}

static bool names_are_known(const struct layout *layout, char *error) {
    static const char *const known[] = {"inputs", "targets", "mask", "test_inputs", "test_targets", "test_mask"};
    for (int i = 0; i < layout->count; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++) {
            found = found || strcmp(layout->tensors[i].name, known[j]) == 0;
        }
        if (!found) {
            snprintf(error, DATASET_ERROR_BYTES,
                     "the tensor \"%.60s\" is not one of inputs, targets, mask, test_inputs, test_targets, test_mask",
                     layout->tensors[i].name);
            return false;
        }
    }
    return true;
}

static bool inputs_fit(const struct safetensor *x, const char *prefix, char *error) {
    char got[128];
    if (x->dimensions == 3 && x->count > 0 && x->shape[0] <= LENGTH_MAX && x->shape[1] <= LENGTH_MAX &&
        x->shape[2] <= 16384) {
        return true;
    }
    snprintf(error, DATASET_ERROR_BYTES,
             "the tensor %sinputs must have the shape (steps, trials, inputs), none 0, at most 16384 inputs; got %s",
             prefix, tensor_quote(x, got));
    return false;
}

/* Steps and trials are those of the inputs. */
static bool spans_the_trials(const struct safetensor *tensor, const struct safetensor *x) {
    return tensor->dimensions >= 2 && tensor->shape[0] == x->shape[0] && tensor->shape[1] == x->shape[1];
}

static bool targets_fit(const struct safetensor *y, const struct safetensor *x, const char *prefix, char *error) {
    char got[128], whole[128];
    bool classes = y->dimensions == 2 && safetensor_is_integer(y);
    bool values = y->dimensions == 3 && y->shape[2] > 0 && y->shape[2] <= OUTPUTS_MAX;
    if ((classes || values) && spans_the_trials(y, x)) {
        return true;
    }
    snprintf(error, DATASET_ERROR_BYTES,
             "the tensor %stargets must be integers of shape (steps, trials), classes, or numbers of shape (steps, "
             "trials, outputs), with the steps and trials of %sinputs, %s; got %s",
             prefix, prefix, tensor_quote(x, whole), tensor_quote(y, got));
    return false;
}

static bool mask_fits(const struct safetensor *m, const struct safetensor *x, const char *prefix, char *error) {
    char got[128], whole[128];
    if (m == NULL || (m->dimensions == 2 && spans_the_trials(m, x))) {
        return true;
    }
    snprintf(error, DATASET_ERROR_BYTES,
             "the tensor %smask must have the shape (steps, trials) of %sinputs, %s; got %s", prefix, prefix,
             tensor_quote(x, whole), tensor_quote(m, got));
    return false;
}

static bool split_fits(const struct split *split, const char *prefix, struct dataset_info *info, bool first,
                       char *error) {
    const struct safetensor *x = split->inputs, *y = split->targets;
    char got[128];
    if (x == NULL || y == NULL) {
        snprintf(error, DATASET_ERROR_BYTES, "the tensors %sinputs and %stargets are required", prefix, prefix);
        return false;
    }
    if (!inputs_fit(x, prefix, error) || !targets_fit(y, x, prefix, error) ||
        !mask_fits(split->mask, x, prefix, error)) {
        return false;
    }
    bool classes = y->dimensions == 2;
    if (first) {
        info->steps = x->shape[0];
        info->trials = x->shape[1];
        info->inputs = x->shape[2];
        info->classes = classes;
        info->outputs = classes ? 0 : y->shape[2];
        return true;
    }
    info->test_trials = x->shape[1];
    if (x->shape[0] != info->steps || x->shape[2] != info->inputs || classes != info->classes ||
        (!classes && y->shape[2] != info->outputs)) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the test split must have the steps (%zu), inputs (%zu) and kind of targets (%s) of the training "
                 "split; got %zu, %zu and %s",
                 info->steps, info->inputs, info->classes ? "classes" : "values", x->shape[0], x->shape[2],
                 tensor_quote(y, got));
        return false;
    }
    return true;
}

/* Bytes that the data take in memory; data used in place keep their type, the rest are float32. */
static size_t memory_of(const struct safetensor *tensor, bool as_floats) {
    bool in_place = !as_floats && tensor->type != TENSOR_F64;
    return tensor->count * (in_place ? tensor_type_size(tensor->type) : sizeof(float));
}

static size_t split_memory(const struct split *split) {
    return split->inputs == NULL ? 0
                                 : memory_of(split->inputs, false) + memory_of(split->targets, false) +
                                       (split->mask == NULL ? 0 : memory_of(split->mask, true));
}

/* ---- weights ---- */

#define WEIGHTS_UNITS_MAX 16384
static const char *const weights_names[5] = {"W", "Win", "b", "Wout", "bout"};

static bool weights_fit(const struct safetensor *tensor, const char *name, int dimensions, size_t rows, size_t columns,
                        char *error) {
    char got[128] = "none", second[32] = "";
    if (tensor != NULL && tensor->dimensions == dimensions && tensor->shape[0] == rows &&
        (dimensions == 1 || tensor->shape[1] == columns) &&
        (tensor->type == TENSOR_F32 || tensor->type == TENSOR_F64)) {
        return true;
    }
    if (dimensions == 2) {
        snprintf(second, sizeof second, ", %zu", columns);
    }
    snprintf(error, DATASET_ERROR_BYTES, "the tensor %s must hold F32 or F64 of the shape (%zu%s); got %s", name, rows,
             second, tensor == NULL ? got : tensor_quote(tensor, got));
    return false;
}

/* Whether the three matrices are there, and of sizes that a network may have. */
static bool weights_sizes_fit(const struct safetensor *const *w, char *error) {
    for (int i = 0; i < 4; i++) {
        if (i != 2 && (w[i] == NULL || w[i]->dimensions != 2)) {
            return fail(error, "weights must have the tensors W (N, N), Win (inputs, N), Wout (N, outputs) and bout "
                               "(outputs), and may have b (N)");
        }
    }
    size_t n = w[0]->shape[0], inputs = w[1]->shape[0], outputs = w[3]->shape[1];
    if (n == 0 || n > WEIGHTS_UNITS_MAX || inputs == 0 || inputs > 16384 || outputs == 0 || outputs > OUTPUTS_MAX) {
        return fail(error, "weights must be of 1 to 16384 units, 1 to 16384 inputs and 1 to 4096 outputs");
    }
    return true;
}

/* What the weights are, once a tensor is named W. */
static bool weights_layout(struct layout *layout, size_t size, struct dataset_info *info, char *error) {
    const struct safetensor **w = layout->weights;
    for (int i = 0; i < 5; i++) {
        w[i] = safetensor_find(layout->tensors, layout->count, weights_names[i]);
    }
    if (!weights_sizes_fit(w, error)) {
        return false;
    }
    size_t n = w[0]->shape[0], inputs = w[1]->shape[0], outputs = w[3]->shape[1];
    if (!weights_fit(w[0], "W", 2, n, n, error) || !weights_fit(w[1], "Win", 2, inputs, n, error) ||
        (w[2] != NULL && !weights_fit(w[2], "b", 1, n, 0, error)) || !weights_fit(w[3], "Wout", 2, n, outputs, error) ||
        !weights_fit(w[4], "bout", 1, outputs, 0, error)) {
        return false;
    }
    info->units = n;
    info->inputs = inputs;
    info->outputs = outputs;
    info->bias = w[2] != NULL;
    info->bytes = (int64_t)size;
    info->memory = 0;
    for (int i = 0; i < 5; i++) {
        info->memory += w[i] == NULL ? 0 : (int64_t)(w[i]->count * sizeof(float));
    }
    return true;
}

static bool layout_read(struct blocks *blocks, bool strict, struct layout *layout, struct dataset_info *info,
                        int *number, char *error) {
    char reason[256];
    size_t held = blocks->size < HEADER_MOST ? blocks->size : HEADER_MOST;
    *number = read_at(blocks, 0, blocks->block, held);
    if (*number != 0) {
        return false;
    }
    if (!safetensors_parse_header(blocks->block, held, blocks->size, strict, layout->tensors, &layout->count,
                                  layout->loss, reason)) {
        return fail(error, reason);
    }
    const struct safetensor *t = layout->tensors;
    int n = layout->count;
    memset(layout->weights, 0, sizeof layout->weights);
    if (safetensor_find(t, n, "W") != NULL) {
        return weights_layout(layout, blocks->size, info, error);
    }
    layout->train = (struct split){safetensor_find(t, n, "inputs"), safetensor_find(t, n, "targets"),
                                   safetensor_find(t, n, "mask")};
    layout->test = (struct split){safetensor_find(t, n, "test_inputs"), safetensor_find(t, n, "test_targets"),
                                  safetensor_find(t, n, "test_mask")};
    bool has_test = layout->test.inputs != NULL || layout->test.targets != NULL || layout->test.mask != NULL;
    if (!names_are_known(layout, error) || !split_fits(&layout->train, "", info, true, error) ||
        (has_test && !split_fits(&layout->test, "test_", info, false, error))) {
        return false;
    }
    info->mask = layout->train.mask != NULL;
    info->test_mask = layout->test.mask != NULL;
    info->bytes = (int64_t)blocks->size;
    info->memory = (int64_t)(split_memory(&layout->train) + split_memory(&layout->test));
    snprintf(info->inputs_type, sizeof info->inputs_type, "%s", tensor_type_name(layout->train.inputs->type));
    snprintf(info->targets_type, sizeof info->targets_type, "%s", tensor_type_name(layout->train.targets->type));
    return true;
}

/* ---- one pass ---- */

/*
 * Entries [first, first + part->count) of a tensor; part->bytes holds them. False ends the pass: the file is refused.
 */
typedef bool take_entries(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first);

/* Passes on the tensor's entries, one block at a time. 0, or an errno; *taken is false if `take` wants no more. */
static int tensor_walk(struct blocks *blocks, const struct safetensor *tensor, const struct dataset_patience *patience,
                       take_entries *take, void *user, bool *taken) {
    size_t each = tensor_type_size(tensor->type), most = BLOCK_BYTES / each;
    for (size_t first = 0; first < tensor->count && *taken;) {
        struct safetensor part = *tensor;
        part.count = tensor->count - first < most ? tensor->count - first : most;
        part.bytes = blocks->block;
        if (patience != NULL && patience->stopped(patience->user)) {
            return ECANCELED;
        }
        int number = read_at(blocks, tensor->offset + first * each, blocks->block, part.count * each);
        if (number != 0) {
            return number;
        }
        *taken = take(user, tensor, &part, first);
        first += part.count;
    }
    return 0;
}

static int file_digest(struct blocks *blocks, const struct dataset_patience *patience, char hex[STORE_HASH_BYTES]) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    for (size_t at = 0; at < blocks->size; at += BLOCK_BYTES) {
        size_t size = blocks->size - at < BLOCK_BYTES ? blocks->size - at : BLOCK_BYTES;
        int number = patience != NULL && patience->stopped(patience->user) ? ECANCELED
                                                                           : read_at(blocks, at, blocks->block, size);
        if (number != 0) {
            return number;
        }
        sha256_update(&context, size, blocks->block);
    }
    sha256_digest(&context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}

/* ---- checking every number ---- */

/* What is known about a file while its numbers are checked. */
struct check {
    const struct layout *layout;
    struct dataset_info *info;
    bool strict;
    char *error;
    bool trained_classes[OUTPUTS_MAX]; /* classes that occur in the training targets */
    bool one_hot;                      /* so far, every row of the training targets is 0 except for one 1 */
    double row_sum;                    /* of the row being read */
    size_t counted, from;              /* entries of the mask being read that count, and the first step with one */
};

static bool take_numbers(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    for (size_t i = 0; i < part->count; i++) {
        if (!isfinite((float)safetensor_number(part, i))) {
            char at[128];
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold finite numbers within the range of float32; entry %s is %g", tensor->name,
                     entry_quote(tensor, first + i, at), safetensor_number(part, i));
            return false;
        }
    }
    return true;
}

static bool take_values(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    size_t outputs = tensor->shape[2];
    for (size_t i = 0; i < part->count && check->one_hot; i++) {
        double value = safetensor_number(part, i);
        check->row_sum += value;
        check->one_hot = value == 0.0 || value == 1.0;
        if ((first + i + 1) % outputs == 0) {
            check->one_hot = check->one_hot && check->row_sum == 1.0;
            check->row_sum = 0.0;
        }
    }
    return take_numbers(user, tensor, part, first);
}

static bool take_classes(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    char at[128];
    bool training = tensor == check->layout->train.targets;
    for (size_t i = 0; i < part->count; i++) {
        double class = safetensor_number(part, i);
        if (class < 0 || class >= OUTPUTS_MAX) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold classes from 0 to %d; entry %s is %.0f", tensor->name, OUTPUTS_MAX - 1,
                     entry_quote(tensor, first + i, at), class);
            return false;
        }
        if (check->strict && !training && !check->trained_classes[(size_t)class]) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold classes that occur in targets too; entry %s is %.0f, which no training "
                     "trial has",
                     tensor->name, entry_quote(tensor, first + i, at), class);
            return false;
        }
        check->trained_classes[(size_t)class] = check->trained_classes[(size_t)class] || training;
        check->info->outputs = (size_t)class + 1 > check->info->outputs ? (size_t)class + 1 : check->info->outputs;
    }
    return true;
}

static bool take_mask(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    char at[128];
    for (size_t i = 0; i < part->count; i++) {
        double weight = safetensor_number(part, i);
        if (!(weight >= 0.0 && weight <= 1e6)) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold numbers from 0 to 1000000; entry %s is %g", tensor->name,
                     entry_quote(tensor, first + i, at), weight);
            return false;
        }
        if ((float)weight != 0.0f) { /* as training reads it */
            size_t step = (first + i) / tensor->shape[1];
            check->from = step < check->from ? step : check->from;
            check->counted++;
        }
    }
    return true;
}

static bool mask_counts(struct check *check, const struct safetensor *mask) {
    if (check->counted == 0 && check->strict) {
        snprintf(check->error, DATASET_ERROR_BYTES,
                 "the tensor %s must count at least one step; all its entries are 0 as float32", mask->name);
    }
    return check->counted > 0 || !check->strict;
}

static bool values_are_meant(struct check *check, const struct safetensor *targets) {
    bool suspicious = check->strict && check->one_hot && targets->shape[2] > 1 &&
                      strcmp(check->layout->loss, "mse") != 0;
    if (suspicious) {
        snprintf(
            check->error, DATASET_ERROR_BYTES,
            "the tensor %s holds classes as one-hot rows, which would be fitted by squared error: give the classes "
            "as integers of shape (steps, trials), or, where squared error is meant, \"loss\": \"mse\" in "
            "__metadata__",
            targets->name);
    }
    return !suspicious;
}

/* 0, or an errno; *sound is false, with a sentence, if a number is refused. */
static int split_check(struct blocks *blocks, const struct dataset_patience *patience, const struct split *split,
                       struct check *check, bool *sound) {
    bool training = split == &check->layout->train;
    int number = tensor_walk(blocks, split->inputs, patience, take_numbers, check, sound);
    if (number == 0 && *sound) {
        check->one_hot = training;
        check->row_sum = 0.0;
        number = tensor_walk(blocks, split->targets, patience, check->info->classes ? take_classes : take_values, check,
                             sound);
        *sound = *sound && (!training || check->info->classes || values_are_meant(check, split->targets));
    }
    check->from = split->mask == NULL ? 0 : split->inputs->shape[0];
    check->counted = split->mask == NULL ? split->inputs->shape[0] * split->inputs->shape[1] : 0;
    if (split->mask != NULL && number == 0 && *sound) {
        number = tensor_walk(blocks, split->mask, patience, take_mask, check, sound);
        *sound = *sound && (number != 0 || mask_counts(check, split->mask));
    }
    if (training) {
        check->info->counted = (int64_t)check->counted;
        check->info->from = check->from;
    } else {
        check->info->test_from = check->from;
    }
    return number;
}

static int numbers_check(struct blocks *blocks, const struct dataset_patience *patience, const struct layout *layout,
                         bool strict, struct dataset_info *info, bool *sound, char *error) {
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL) {
        return ENOMEM;
    }
    check->layout = layout;
    check->info = info;
    check->strict = strict;
    check->error = error;
    int number = 0;
    for (int i = 0; i < 5 && info->units > 0 && number == 0 && *sound; i++) {
        number = layout->weights[i] == NULL
                     ? 0
                     : tensor_walk(blocks, layout->weights[i], patience, take_numbers, check, sound);
    }
    if (info->units == 0) {
        number = split_check(blocks, patience, &layout->train, check, sound);
    }
    if (info->units == 0 && number == 0 && *sound && layout->test.inputs != NULL) {
        number = split_check(blocks, patience, &layout->test, check, sound);
    }
    free(check);
    return number;
}

enum dataset_result dataset_check(const char *path, bool strict, const struct dataset_patience *patience,
                                  struct dataset_info *info, char error[DATASET_ERROR_BYTES]) {
    struct blocks blocks;
    struct layout layout;
    int number = blocks_open(&blocks, path);
    bool sound = true;
    *info = (struct dataset_info){0};
    if (number == 0 && blocks.size == 0) {
        sound = fail(error, "the body must be a safetensors file; it is empty");
    }
    sound = sound && number == 0 && layout_read(&blocks, strict, &layout, info, &number, error);
    if (number == 0 && sound) {
        number = numbers_check(&blocks, patience, &layout, strict, info, &sound, error);
    }
    if (number == 0 && sound) {
        number = file_digest(&blocks, patience, info->sha256);
    }
    blocks_close(&blocks);
    if (number != 0) {
        return unreadable(number, error);
    }
    return sound ? DATASET_SOUND : DATASET_REFUSED;
}

/* ---- what is kept beside a file ---- */

json_t *dataset_info_encode(const struct dataset_info *info) {
    if (info->units > 0) {
        return json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "format", 2, "kind", "weights", "sha256",
                         info->sha256, "bytes", (json_int_t)info->bytes, "memory", (json_int_t)info->memory, "units",
                         (json_int_t)info->units, "inputs", (json_int_t)info->inputs, "outputs",
                         (json_int_t)info->outputs, "bias", info->bias);
    }
    return json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:s, s:s}", "format",
                     1, "sha256", info->sha256, "bytes", (json_int_t)info->bytes, "memory", (json_int_t)info->memory,
                     "steps", (json_int_t)info->steps, "trials", (json_int_t)info->trials, "inputs",
                     (json_int_t)info->inputs, "outputs", (json_int_t)info->outputs, "test_trials",
                     (json_int_t)info->test_trials, "classes", info->classes, "mask", info->mask, "test_mask",
                     info->test_mask, "from", (json_int_t)info->from, "test_from", (json_int_t)info->test_from,
                     "counted", (json_int_t)info->counted, "inputs_type", info->inputs_type, "targets_type",
                     info->targets_type);
}

/* A number that counts something; false if it is not one. */
static bool size_decode(const json_t *document, const char *key, json_int_t least, size_t *size) {
    const json_t *value = json_object_get(document, key);
    *size = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= least;
}

static bool text_decode(const json_t *document, const char *key, char *text, size_t room) {
    const char *value = json_string_value(json_object_get(document, key));
    return value != NULL && (size_t)snprintf(text, room, "%s", value) < room;
}

static bool flag_decode(const json_t *document, const char *key, bool *flag) {
    const json_t *value = json_object_get(document, key);
    *flag = json_is_true(value);
    return json_is_boolean(value);
}

static bool weights_info_decode(struct dataset_info *info, const json_t *document) {
    size_t bytes, memory;
    bool ok = text_decode(document, "sha256", info->sha256, sizeof info->sha256) &&
              size_decode(document, "bytes", 1, &bytes) && size_decode(document, "memory", 1, &memory) &&
              size_decode(document, "units", 1, &info->units) && size_decode(document, "inputs", 1, &info->inputs) &&
              size_decode(document, "outputs", 1, &info->outputs) && flag_decode(document, "bias", &info->bias);
    if (ok) {
        info->bytes = (int64_t)bytes;
        info->memory = (int64_t)memory;
    }
    return ok;
}

bool dataset_info_decode(struct dataset_info *info, const json_t *document) {
    size_t format, bytes, memory, counted;
    *info = (struct dataset_info){0};
    if (json_integer_value(json_object_get(document, "format")) == 2) {
        return weights_info_decode(info, document);
    }
    bool ok = size_decode(document, "format", 1, &format) && format == 1 &&
              text_decode(document, "sha256", info->sha256, sizeof info->sha256) &&
              size_decode(document, "bytes", 1, &bytes) && size_decode(document, "memory", 1, &memory) &&
              size_decode(document, "steps", 1, &info->steps) && size_decode(document, "trials", 1, &info->trials) &&
              size_decode(document, "inputs", 1, &info->inputs) &&
              size_decode(document, "outputs", 1, &info->outputs) &&
              size_decode(document, "test_trials", 0, &info->test_trials) &&
              flag_decode(document, "classes", &info->classes) && flag_decode(document, "mask", &info->mask) &&
              flag_decode(document, "test_mask", &info->test_mask) && size_decode(document, "from", 0, &info->from) &&
              size_decode(document, "test_from", 0, &info->test_from) &&
              size_decode(document, "counted", 0, &counted) &&
              text_decode(document, "inputs_type", info->inputs_type, sizeof info->inputs_type) &&
              text_decode(document, "targets_type", info->targets_type, sizeof info->targets_type);
    if (ok) {
        info->bytes = (int64_t)bytes;
        info->memory = (int64_t)memory;
        info->counted = (int64_t)counted;
    }
    return ok;
}

struct task_data dataset_describe(const struct dataset_info *info) {
    return (struct task_data){
        .steps = info->steps,
        .inputs = info->inputs,
        .outputs = info->outputs,
        .loss = info->classes ? LOSS_CROSS_ENTROPY : LOSS_MSE,
        .train = {.trials = info->trials, .masked = info->mask, .mask_from = info->from},
        .test = {.trials = info->test_trials, .masked = info->test_mask, .mask_from = info->test_from}};
}

/* ---- loading ---- */

static void *take(struct dataset_data *loaded, size_t bytes) {
    void *memory = malloc(bytes + (bytes == 0));
    if (memory != NULL) {
        loaded->memory[loaded->count++] = memory;
        loaded->bytes += (int64_t)bytes;
    }
    return memory;
}

/* A tensor being loaded: unchanged, or as float32. */
struct load {
    struct dataset_info *info;
    unsigned char *to;
    bool as_floats;
};

static bool take_load(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    const struct load *load = user;
    size_t each = tensor_type_size(tensor->type);
    if (!load->as_floats) {
        memcpy(load->to + first * each, part->bytes, part->count * each);
        return true;
    }
    for (size_t i = 0; i < part->count; i++) {
        float value = (float)safetensor_number(part, i);
        memcpy(load->to + (first + i) * sizeof value, &value, sizeof value);
    }
    return true;
}

static int tensor_load(struct blocks *blocks, struct dataset_data *loaded, const struct safetensor *tensor,
                       bool as_floats, struct data_array *array) {
    static const enum data_type types[TENSOR_TYPES] = {
        [TENSOR_F32] = DATA_F32, [TENSOR_F64] = DATA_F32, [TENSOR_I8] = DATA_I8,   [TENSOR_U8] = DATA_U8,
        [TENSOR_BOOL] = DATA_U8, [TENSOR_I16] = DATA_I16, [TENSOR_I32] = DATA_I32, [TENSOR_I64] = DATA_I64};
    struct load load = {.to = take(loaded, memory_of(tensor, as_floats)),
                        .as_floats = as_floats || tensor->type == TENSOR_F64};
    bool taken = true;
    if (load.to == NULL) {
        return ENOMEM;
    }
    *array = (struct data_array){.bytes = load.to, .type = load.as_floats ? DATA_F32 : types[tensor->type]};
    return tensor_walk(blocks, tensor, NULL, take_load, &load, &taken);
}

static int split_load(struct blocks *blocks, struct dataset_data *loaded, const struct split *split, bool classes,
                      struct trial_set *set) {
    struct data_array mask = {0};
    set->trials = split->inputs->shape[1];
    int number = tensor_load(blocks, loaded, split->inputs, false, &set->inputs);
    if (number == 0) {
        number = tensor_load(blocks, loaded, split->targets, false, classes ? &set->classes : &set->values);
    }
    if (number == 0 && split->mask != NULL) {
        number = tensor_load(blocks, loaded, split->mask, true, &mask);
        set->mask = (const float *)(const void *)mask.bytes; /* malloc aligned it */
    }
    return number;
}

/* The first step that counts in any trial of the split. */
static size_t mask_begin(const struct trial_set *set, size_t steps) {
    size_t i = 0;
    while (set->mask != NULL && i < steps * set->trials && set->mask[i] == 0.0f) {
        i++;
    }
    return i / set->trials;
}

/* The number of outputs of class targets is known only after reading all of them. */
static size_t classes_count(const struct trial_set *set, const struct safetensor *targets) {
    struct safetensor all = *targets;
    size_t most = 0;
    all.bytes = set->classes.bytes;
    for (size_t i = 0; i < all.count; i++) {
        size_t class = (size_t)safetensor_number(&all, i);
        most = class > most ? class : most;
    }
    return most + 1;
}

static int splits_load(struct blocks *blocks, const struct layout *layout, const struct dataset_info *info,
                       struct dataset_data *loaded) {
    struct task_data *data = &loaded->task;
    *data = dataset_describe(info);
    int number = split_load(blocks, loaded, &layout->train, info->classes, &data->train);
    if (number == 0 && layout->test.inputs != NULL) {
        number = split_load(blocks, loaded, &layout->test, info->classes, &data->test);
    }
    if (number != 0) {
        return number;
    }
    data->train.mask_from = mask_begin(&data->train, data->steps);
    if (info->classes) {
        data->outputs = classes_count(&data->train, layout->train.targets);
    }
    if (layout->test.inputs != NULL) {
        data->test.mask_from = mask_begin(&data->test, data->steps);
        size_t outputs = info->classes ? classes_count(&data->test, layout->test.targets) : 0;
        data->outputs = outputs > data->outputs ? outputs : data->outputs;
    }
    return 0;
}

bool dataset_data_load(const char *path, const char *sha256, struct dataset_data *loaded,
                       char error[DATASET_ERROR_BYTES]) {
    struct blocks blocks;
    struct layout layout;
    struct dataset_info info = {0};
    char digest[STORE_HASH_BYTES] = "";
    *loaded = (struct dataset_data){0};
    *error = '\0';
    int number = blocks_open(&blocks, path);
    number = number != 0 ? number : file_digest(&blocks, NULL, digest);
    /* it was checked when it was stored and is the same, byte for byte: no second check */
    bool same = number == 0 && strcmp(digest, sha256) == 0;
    if (number == 0 && !same) {
        fail(error, "the dataset's file is damaged: its sha256 differs from the one under which it was stored");
    }
    same = same && layout_read(&blocks, false, &layout, &info, &number, error);
    if (same) {
        number = splits_load(&blocks, &layout, &info, loaded);
    }
    blocks_close(&blocks);
    if (number == ENOMEM) {
        fail(error, "the dataset does not fit into memory");
    } else if (number != 0) {
        unreadable(number, error);
    }
    if (number != 0 || !same) {
        dataset_data_release(loaded);
    }
    return number == 0 && same;
}

void dataset_data_release(struct dataset_data *loaded) {
    for (int i = 0; i < loaded->count; i++) {
        free(loaded->memory[i]);
    }
    *loaded = (struct dataset_data){0};
}

bool weights_file_load(const char *path, const char *sha256, float **memory, char error[DATASET_ERROR_BYTES]) {
    struct blocks blocks;
    struct layout layout;
    struct dataset_info info = {0};
    char digest[STORE_HASH_BYTES] = "";
    int number = blocks_open(&blocks, path);
    *memory = NULL;
    number = number != 0 ? number : file_digest(&blocks, NULL, digest);
    bool same = number == 0 && strcmp(digest, sha256) == 0 &&
                layout_read(&blocks, false, &layout, &info, &number, error) && info.units > 0;
    float *to = same ? malloc((size_t)info.memory) : NULL, *at = to;
    number = same && to == NULL ? ENOMEM : number;
    for (int i = 0; i < 5 && to != NULL && number == 0; i++) {
        struct load load = {.to = (unsigned char *)at, .as_floats = true};
        if (layout.weights[i] != NULL) {
            number = tensor_walk(&blocks, layout.weights[i], NULL, take_load, &load, &same);
            at += layout.weights[i]->count;
        }
    }
    blocks_close(&blocks);
    if (number != 0) {
        free(to);
        unreadable(number, error);
        return false;
    }
    if (!same) {
        return fail(error, "the file of weights is damaged: its sha256 differs from the one under which it was stored");
    }
    *memory = to;
    return true;
}
