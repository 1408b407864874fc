/* numpy's files of arrays: see npz.h. */
#include "clients/cli/npz.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "api/text.h"
#include "clients/cli/memory.h"
#include "clients/cli/report.h"

#define DIMENSIONS_MAX 8
#define HEADER_BYTES_MAX 65536
#define ARRAYS_MAX 9 /* as many as a dataset can have: two splits of inputs or spikes, targets and mask */

/* Types of numpy, and what each is in a dataset. */
static const struct kind {
    char code;
    int size;
    const char *dtype; /* of safetensors; NULL: it has no place in a dataset */
    int wide;          /* bytes of that */
} kinds[] = {{'f', 2, "F32", 4}, {'f', 4, "F32", 4}, {'f', 8, "F64", 8}, {'i', 1, "I8", 1},
             {'i', 2, "I16", 2}, {'i', 4, "I32", 4}, {'i', 8, "I64", 8}, {'u', 1, "U8", 1},
             {'u', 2, "I32", 4}, {'u', 4, "I64", 8}, {'b', 1, "BOOL", 1}};

struct array {
    char name[32];
    zip_uint64_t member;
    const struct kind *kind;
    bool swapped, fortran; /* its bytes are most significant first; its first index runs fastest */
    int dimensions;
    size_t shape[DIMENSIONS_MAX], count;
};

struct archive {
    const char *path;
    zip_t *zip;
    struct array arrays[ARRAYS_MAX];
    size_t count;
    char shapes[2][64]; /* of spikes, for the metadata: of the training and of the test split */
};

bool npz_is(FILE *file) {
    unsigned char begin[4] = {0};
    size_t got = fread(begin, 1, sizeof begin, file);
    rewind(file);
    return got == sizeof begin && memcmp(begin, "PK\3\4", sizeof begin) == 0;
}

/* ---- a member's header ---- */

static bool member_read(zip_file_t *file, void *bytes, size_t size) {
    size_t used = 0;
    zip_int64_t got = 1;
    while (used < size && (got = zip_fread(file, (char *)bytes + used, size - used)) > 0) {
        used += (size_t)got;
    }
    return used == size;
}

/* What stands behind 'key': in the literal; NULL: the key is not there. */
static const char *header_value(const char *header, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    at = at == NULL ? NULL : at + strlen(quoted);
    at = at == NULL ? NULL : at + strspn(at, " ");
    return at == NULL || *at != ':' ? NULL : at + 1 + strspn(at + 1, " ");
}

/* '<f4', '|b1', '>i8' */
static bool type_read(const char *text, struct array *array) {
    if (text == NULL || strlen(text) < 4 || text[0] != '\'') {
        return false;
    }
    const char order = text[1], code = text[2];
    char *end;
    const long size = strtol(text + 3, &end, 10);
    if (end == text + 3) {
        return false;
    }
    array->swapped = order == '>';
    array->kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        array->kind = kinds[i].code == code && kinds[i].size == size ? &kinds[i] : array->kind;
    }
    return strchr("<>|=", order) != NULL && array->kind != NULL;
}

/* (20, 16, 1), (5,), () */
static bool shape_read(const char *text, struct array *array) {
    array->dimensions = 0;
    array->count = 1;
    if (text == NULL || *text++ != '(') {
        return false;
    }
    for (text += strspn(text, " "); *text >= '0' && *text <= '9'; text += strspn(text, " ,L")) {
        char *end;
        errno = 0;
        size_t length = strtoull(text, &end, 10);
        if (errno != 0 || array->dimensions == DIMENSIONS_MAX ||
            __builtin_mul_overflow(array->count, length, &array->count) || array->count > SIZE_MAX / 16) {
            return false;
        }
        array->shape[array->dimensions++] = length;
        text = end;
    }
    return *text == ')';
}

/* The sentence for what a header says that no dataset has. */
static enum status header_refuse(const struct archive *archive, const struct array *array, const char *header) {
    const char *type = header_value(header, "descr");
    int length = type == NULL ? 0 : (int)strcspn(type, ",}");
    return report_error(STATUS_USAGE,
                        "%s: %s must be an array of numbers or booleans; got the type %.*s (complex numbers, texts and "
                        "objects cannot be trained on)",
                        archive->path, array->name, length > 40 ? 40 : length, type == NULL ? "" : type);
}

/* Reads up to the values, which come next. */
static enum status header_read(const struct archive *archive, zip_file_t *file, struct array *array) {
    unsigned char begin[12] = {0};
    bool read = member_read(file, begin, 10) && memcmp(begin, "\x93NUMPY", 6) == 0 && begin[6] >= 1 && begin[6] <= 3;
    bool long_header = read && begin[6] > 1;
    read = read && (!long_header || member_read(file, begin + 10, 2));
    size_t size = begin[8] | (size_t)begin[9] << 8 | (size_t)begin[10] << 16 | (size_t)begin[11] << 24;
    char *header = memory_allocate(HEADER_BYTES_MAX + 1, 1);
    read = read && size <= HEADER_BYTES_MAX && member_read(file, header, size);
    const char *fortran = header_value(header, "fortran_order");
    enum status status = STATUS_OK;
    if (!read || fortran == NULL || !shape_read(header_value(header, "shape"), array)) {
        status = report_error(STATUS_USAGE, "%s: %s.npy is not an array of numpy", archive->path, array->name);
    } else if (!type_read(header_value(header, "descr"), array)) {
        status = header_refuse(archive, array, header);
    } else {
        array->fortran = strncmp(fortran, "True", 4) == 0 && array->dimensions > 1;
    }
    free(header);
    return status;
}

/* ---- the archive ---- */

static bool name_is_known(const char *name) {
    static const char *const names[] = {"inputs", "targets", "mask", "spikes_trials", "spikes_times", "spikes_units"};
    name += strncmp(name, "test_", 5) == 0 ? 5 : 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void value_put(const struct array *array, const unsigned char *from, unsigned char *to);

/* An array of three integers, the shape of a split's spikes, as the metadata have it: "[12, 30, 2]". */
static enum status shape_convert(const struct archive *archive, zip_file_t *file, const struct array *array,
                                 char text[64]) {
    unsigned char values[3 * 8];
    size_t size = (size_t)array->kind->size;
    int64_t lengths[3] = {0}; /* little-endian, as numpy's values are once put */
    if (array->kind->code == 'f' || array->dimensions != 1 || array->count != 3) {
        return report_error(STATUS_USAGE, "%s: %s must be three integers, steps, trials and inputs of the spikes",
                            archive->path, array->name);
    }
    if (!member_read(file, values, 3 * size)) {
        return report_error(STATUS_FAILED, "%s: %s cannot be read: the archive is truncated or damaged", archive->path,
                            array->name);
    }
    for (size_t i = 0; i < 3; i++) {
        value_put(array, values + i * size, (unsigned char *)&lengths[i]);
    }
    snprintf(text, 64, "[%lld, %lld, %lld]", (long long)lengths[0], (long long)lengths[1], (long long)lengths[2]);
    return STATUS_OK;
}

static enum status member_add(struct archive *archive, zip_uint64_t member) {
    const char *name = zip_get_name(archive->zip, member, 0);
    size_t length = name == NULL ? 0 : strlen(name);
    struct array array = {.member = member};
    if (length >= 4 && strcmp(name + length - 4, ".npy") == 0) {
        length -= 4;
    }
    snprintf(array.name, sizeof array.name, "%.*s", length < sizeof array.name ? (int)length : 0, name);
    int shape = strcmp(array.name, "shape") == 0 ? 0 : strcmp(array.name, "test_shape") == 0 ? 1 : -1;
    if (shape < 0 && (!name_is_known(array.name) || archive->count == ARRAYS_MAX)) {
        return report_error(STATUS_USAGE,
                            "%s holds \"%.60s\", which no dataset has; there are inputs (or spikes_trials, "
                            "spikes_times, spikes_units and shape), targets and mask, and the same with test_ in front",
                            archive->path, name == NULL ? "" : name);
    }
    zip_file_t *file = zip_fopen_index(archive->zip, member, 0);
    if (file == NULL) {
        return report_error(STATUS_FAILED, "%s: %s cannot be read: %s", archive->path, array.name,
                            zip_strerror(archive->zip));
    }
    enum status status = header_read(archive, file, &array);
    if (status == STATUS_OK && shape >= 0) {
        status = shape_convert(archive, file, &array, archive->shapes[shape]);
    } else if (status == STATUS_OK) {
        archive->arrays[archive->count++] = array;
    }
    zip_fclose(file);
    return status;
}

static enum status archive_open(struct archive *archive, const char *path) {
    int code = 0;
    *archive = (struct archive){.path = path, .zip = zip_open(path, ZIP_RDONLY, &code)};
    if (archive->zip == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        enum status status = report_error(STATUS_FAILED, "%s cannot be read as an npz file: %s", path,
                                          zip_error_strerror(&error));
        zip_error_fini(&error);
        return status;
    }
    enum status status = STATUS_OK;
    zip_int64_t members = zip_get_num_entries(archive->zip, 0);
    for (zip_int64_t i = 0; i < members && status == STATUS_OK; i++) {
        status = member_add(archive, (zip_uint64_t)i);
    }
    return status;
}

/* ---- values ---- */

static float half_to_float(uint16_t half) {
    uint32_t exponent = half >> 10 & 31, fraction = half & 1023, bits = (uint32_t)(half & 0x8000) << 16;
    float value;
    if (exponent == 0) { /* zero, or subnormal: fraction * 2^-24 */
        value = (float)fraction * 0x1p-24f;
        return bits != 0 ? -value : value;
    }
    bits |= (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void value_put(const struct array *array, const unsigned char *from, unsigned char *to) {
    unsigned char bytes[8] = {0};
    size_t size = (size_t)array->kind->size;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = from[array->swapped ? size - 1 - i : i];
    }
    uint16_t short_value;
    memcpy(&short_value, bytes, sizeof short_value);
    if (array->kind->code == 'f' && size == 2) {
        float value = half_to_float(short_value);
        memcpy(to, &value, sizeof value);
    } else { /* unsigned ones grow by zeros */
        memset(to, 0, (size_t)array->kind->wide);
        memcpy(to, bytes, size);
    }
}

/* Where the k-th value in C's order lies in Fortran's. */
static size_t fortran_place(const struct array *array, size_t k) {
    size_t place = 0, index[DIMENSIONS_MAX] = {0};
    for (int i = array->dimensions - 1; i >= 0; i--) {
        index[i] = k % array->shape[i];
        k /= array->shape[i];
    }
    for (int i = array->dimensions - 1; i >= 0; i--) {
        place = place * array->shape[i] + index[i];
    }
    return place;
}

static bool values_convert(const struct array *array, zip_file_t *file, FILE *out) {
    size_t size = (size_t)array->kind->size, wide = (size_t)array->kind->wide;
    unsigned char *values = memory_allocate(array->count + 1, size), to[8];
    bool done = member_read(file, values, array->count * size);
    for (size_t k = 0; done && k < array->count; k++) {
        value_put(array, values + size * (array->fortran ? fortran_place(array, k) : k), to);
        done = fwrite(to, 1, wide, out) == wide;
    }
    free(values);
    return done;
}

static bool values_copy(const struct array *array, zip_file_t *file, FILE *out) {
    static char bytes[65536];
    size_t left = array->count * (size_t)array->kind->size;
    bool done = true;
    while (done && left > 0) {
        size_t part = left < sizeof bytes ? left : sizeof bytes;
        done = member_read(file, bytes, part) && fwrite(bytes, 1, part, out) == part;
        left -= part;
    }
    return done;
}

static enum status array_write(const struct archive *archive, struct array *array, FILE *out) {
    zip_file_t *file = zip_fopen_index(archive->zip, array->member, 0);
    if (file == NULL) {
        return report_error(STATUS_FAILED, "%s: %s cannot be read: %s", archive->path, array->name,
                            zip_strerror(archive->zip));
    }
    enum status status = header_read(archive, file, array);
    bool plain = status == STATUS_OK && !array->swapped && !array->fortran && array->kind->size == array->kind->wide;
    errno = 0;
    if (status == STATUS_OK && !(plain ? values_copy(array, file, out) : values_convert(array, file, out))) {
        const char *why = ferror(out) ? strerror(errno) : "the archive is truncated or damaged";
        status = report_error(STATUS_FAILED, "%s: %s cannot be converted: %s", archive->path, array->name, why);
    }
    zip_fclose(file);
    return status;
}

/* ---- the safetensors file ---- */

static bool header_write(const struct archive *archive, FILE *out) {
    json_t *header = json_object(), *metadata = json_object();
    size_t at = 0, size = 0;
    for (size_t i = 0; i < 2; i++) {
        if (archive->shapes[i][0] != '\0') {
            json_object_set_new(metadata, i == 0 ? "shape" : "test_shape", json_string(archive->shapes[i]));
            json_object_set(header, "__metadata__", metadata);
        }
    }
    json_decref(metadata);
    for (size_t i = 0; i < archive->count; i++) {
        const struct array *array = &archive->arrays[i];
        json_t *shape = json_array();
        size_t end = at + array->count * (size_t)array->kind->wide;
        for (int d = 0; d < array->dimensions; d++) {
            json_array_append_new(shape, json_integer((json_int_t)array->shape[d]));
        }
        json_object_set_new(header, array->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", array->kind->dtype, "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)end));
        at = end;
    }
    char *text = json_text(header, &size);
    json_decref(header);
    uint64_t padded = (size + 7) / 8 * 8; /* by blanks, so that the values are aligned */
    unsigned char length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (unsigned char)(padded >> 8 * i);
    }
    bool done = fwrite(length, 1, 8, out) == 8 && fprintf(out, "%-*s", (int)padded, text) == (int)padded;
    free(text);
    return done;
}

enum status npz_convert(const char *path, FILE **converted, int64_t *size) {
    struct archive archive;
    FILE *out = NULL;
    enum status status = archive_open(&archive, path);
    if (status == STATUS_OK && ((out = tmpfile()) == NULL || !header_write(&archive, out))) {
        status = report_error(STATUS_FAILED, "cannot write a temporary file: %s", strerror(errno));
    }
    for (size_t i = 0; i < archive.count && status == STATUS_OK; i++) {
        status = array_write(&archive, &archive.arrays[i], out);
    }
    if (archive.zip != NULL) {
        zip_discard(archive.zip);
    }
    if (status == STATUS_OK && (fflush(out) != 0 || (*size = (int64_t)ftello(out)) < 0)) {
        status = report_error(STATUS_FAILED, "cannot write a temporary file: %s", strerror(errno));
    }
    if (status != STATUS_OK && out != NULL) {
        fclose(out);
        return status;
    }
    if (out != NULL) {
        rewind(out);
    }
    *converted = out;
    return status;
}
