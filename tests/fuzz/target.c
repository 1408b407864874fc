/*
 * Coverage-guided fuzzing of everything that reads bytes from outside: a target a parser, chosen by $FUZZ_TARGET. A
 * target must return for any input without a sanitizer's report; what it decodes must encode and decode again.
 *
 * Built twice (meson.build): with libFuzzer by `run`, and with replay.c's main in every build that has tests, so that a
 * change which breaks a target, or fails on a seed of corpus/, is seen at once.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "api/event.h"
#include "api/gradients.h"
#include "api/job.h"
#include "api/query.h"
#include "api/safetensors.h"
#include "api/search.h"
#include "api/simulate.h"
#include "api/text.h"
#include "api/weights.h"
#include "core/base/options.h"
#include "core/train/checkpoint.h"
#include "server/base/config.h"
#include "server/datasets/datasets.h"
#include "server/datasets/files.h"
#include "server/http/auth.h"
#include "server/routes/routes.h"
#include "tests/fuzz/target.h"

/* A text that ends with 0, as the parsers of headers and queries receive it. */
static char *text_of(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* A body as the routes read it. A refusal has its status and sentence; faults come only with 422. */
static json_t *body_of(const uint8_t *data, size_t size, struct problems *problems, char error[256]) {
    int status = 0;
    error[0] = '\0';
    json_t *document = json_parse_body((const char *)data, size, problems, &status, error);
    assert(document != NULL || ((status == 400 || status == 413 || status == 422) && error[0] != '\0'));
    assert((document == NULL && status == 422) == (problems->count > 0));
    return document;
}

static void try_job(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    struct job_spec spec, again;
    json_t *document = body_of(data, size, &problems, error);
    if (document == NULL) {
        problems_release(&problems);
        return;
    }
    job_spec_decode(&spec, document, &problems);
    if (problems.count == 0 && (!weights_reference_is_given(&spec.initial_from) || spec.initial.memory != NULL)) {
        char *first = job_spec_text(&spec);
        assert(job_spec_parse(&again, first));
        char *second = job_spec_text(&again);
        assert(strcmp(first, second) == 0);
        free(first);
        free(second);
        job_spec_release(&again);
    }
    job_spec_release(&spec);
    problems_release(&problems);
    json_decref(document);
}

static void try_gradients(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    struct gradients_request request;
    json_t *document = body_of(data, size, &problems, error);
    if (document != NULL) {
        gradients_request_decode(&request, document, &problems);
        gradients_request_release(&request);
        json_decref(document);
    }
    problems_release(&problems);
}

static void try_simulate(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    struct simulate_ask ask;
    static const int types[20] = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct trained trained = {.units = 20, .inputs = 2, .outputs = 2, .types = 2, .type_of_unit = types};
    const struct train_config config = {.network = {.units = 20}, .training = {.batch_size = 4}};
    const struct task_shape shape = {.steps = 900, .inputs = 2, .outputs = 2, .test_trials = 50};
    json_t *document = body_of(data, size, &problems, error);
    if (document != NULL) {
        for (int kind = ASK_SIMULATE; kind <= ASK_EVALUATE; kind++) {
            problems_release(&problems);
            simulate_ask_decode(&ask, (enum ask_kind)kind, document, &problems);
            if (problems.count == 0) {
                simulate_ask_fit(&ask, &config, &trained, &shape, &problems);
            }
            simulate_ask_release(&ask);
        }
        json_decref(document);
    }
    problems_release(&problems);
}

static void try_safetensors(const uint8_t *data, size_t size) {
    struct safetensor tensors[SAFETENSORS_MAX];
    char error[256];
    int count = 0;
    if (safetensors_parse(data, size, tensors, &count, error)) {
        for (int i = 0; i < count; i++) {
            volatile double sum = 0.0;
            for (size_t j = 0; j < tensors[i].count; j++) {
                sum = sum + safetensor_number(&tensors[i], j);
            }
        }
    }
}

static void try_idx(const uint8_t *data, size_t size) {
    unsigned char *items = NULL;
    size_t count;
    char error[DATASETS_ERROR_BYTES];
    if (size > 0 && idx_parse(data + 1, size - 1, data[0] & 1, &items, &count, error)) {
        free(items);
    }
}

static void try_query(const uint8_t *data, size_t size) {
    int64_t limit = 0;
    bool flag = false;
    char value[QUERY_VALUE_BYTES] = "", *text = text_of(data, size);
    struct problems problems = {0};
    const struct query_parameter parameters[] = {
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
        {.name = "weights", .type = QUERY_BOOLEAN, .boolean = &flag},
        {.name = "keys", .type = QUERY_TEXT, .text = value}};
    query_read(text, parameters, 3, &problems);
    problems_release(&problems);
    free(text);
}

/* Every field has the same value, of a kind that the first byte chooses. */
static void read_any(void *user, const struct search_term *term, struct search_datum *datum) {
    (void)term;
    *datum = *(const struct search_datum *)user;
}

/* First byte: the kind of list, and of value. */
static void try_search(const uint8_t *data, size_t size) {
    static struct search search;
    const enum search_kind kind = size > 0 && (data[0] & 1) != 0 ? SEARCH_EXPERIMENTS : SEARCH_JOBS;
    char *text = text_of(data + (size > 0), size - (size > 0));
    struct problems problems = {0};
    json_t *list = json_pack("[s, i, b]", "eprop", 3, 1);
    struct search_datum data_of[] = {{.type = DATUM_NONE},
                                     {.type = DATUM_NUMBER, .number = 3},
                                     {.type = DATUM_TEXT, .text = "eprop"},
                                     {.type = DATUM_JSON, .json = list}};
    memset(&search, 0, sizeof search);
    bool sound = search_read(&search, kind, text, "q", &problems);
    assert(sound == (problems.count == 0));
    if (sound) {
        bool found = search_fits(&search, read_any, &data_of[size > 0 ? data[0] >> 1 & 3 : 0]);
        assert(found || search.count > 0);
        for (int key = SEARCH_WORD; key <= SEARCH_MEMBER; key++) {
            const struct search_term *term = search_exact(&search, (enum search_key)key);
            assert(term == NULL || (!term->negated && term->count > 0));
        }
    }
    problems_release(&problems);
    json_decref(list);
    free(text);
}

static void try_accept(const uint8_t *data, size_t size) {
    static const char *const types[ROUTE_TYPES_MAX] = {"application/json", "text/event-stream", "application/x-ndjson"};
    char *text = text_of(data, size);
    const char *chosen = accept_choose(text, types);
    assert(chosen == NULL || chosen == types[0] || chosen == types[1] || chosen == types[2]);
    (void)etag_matches(text, "\"abc\"");
    free(text);
}

/* The bytes as a file that exists only in memory; always the same path. */
static const char *file_of(const uint8_t *data, size_t size) {
    static char path[64];
    static int descriptor = -1;
    if (descriptor < 0) {
        descriptor = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != (ssize_t)size) {
        abort();
    }
    return path;
}

/* Inputs and targets of a dataset's first trials, at its first and last steps, as training reads them. */
static void trials_read(const struct task_data *data) {
    enum { STEPS = 8, TRIALS = 4 };
    struct task_config config = TASK_CONFIG(TASK_DATASET, {"bin", data->spiking ? 3 : 1}, {"draw", 2});
    struct task task;
    char error[256];
    config.data = data;
    if (task_init(&task, &config, 1, NULL, error) != RESULT_DONE) {
        return;
    }
    float *x = malloc((STEPS * data->inputs + data->outputs) * sizeof *x);
    for (size_t number = 0; number < data->train.trials && number < TRIALS; number++) {
        struct trial trial;
        task.ops->trial(&task, (struct trial_id){TRIAL_LISTED, 0, number}, &trial);
        int last = task.shape.steps, starts[] = {0, last > STEPS ? last - STEPS : 0};
        for (int i = 0; i < 2; i++) {
            int to = starts[i] + STEPS < last ? starts[i] + STEPS : last, class_index = 0;
            task.ops->inputs(&task, &trial, starts[i], to, x, data->inputs);
            for (int t = starts[i]; t < to; t++) {
                float weight = task.ops->target(&task, &trial, t, &class_index, x);
                assert(weight >= 0 && class_index >= 0 && (size_t)class_index < data->outputs);
            }
        }
    }
    free(x);
    task_release(&task);
}

/*
 * A safetensors file all the way of an upload: checked, then loaded and read as a job would. $FUZZ_FOLDER is its folder
 * (see `run`). What an older version accepted must load too.
 */
static void try_dataset(const uint8_t *data, size_t size) {
    static char upload[256];
    const char *folder = getenv("FUZZ_FOLDER");
    struct dataset_info strict, lenient, back;
    struct dataset_data loaded;
    char error[DATASET_ERROR_BYTES] = "";
    assert(folder != NULL);
    snprintf(upload, sizeof upload, "%s/upload", folder);
    int descriptor = open(upload, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool written = descriptor >= 0 && write(descriptor, data, size) == (ssize_t)size && close(descriptor) == 0;
    assert(written);
    bool sound = dataset_check(upload, true, NULL, &strict, error) == DATASET_SOUND;
    assert(sound || *error != '\0');
    if (dataset_check(upload, false, NULL, &lenient, error) == DATASET_SOUND) {
        bool loads = dataset_data_load(upload, lenient.sha256, &loaded, error);
        assert(loads && loaded.bytes == lenient.memory && loaded.task.outputs == lenient.outputs);
        trials_read(&loaded.task);
        json_t *document = dataset_info_encode(&lenient);
        bool same = dataset_info_decode(&back, document) && back.memory == lenient.memory;
        assert(same);
        json_decref(document);
        dataset_data_release(&loaded);
    } else {
        assert(!sound);
    }
}

/* ---- checkpoints ---- */

/* A job, and a checkpoint of it as training would write it. */
struct checkpointed {
    struct job_spec spec;
    struct network network;
    struct optimizer optimizer;
    double *averages;
    struct checkpoint_arrays arrays;
    unsigned char *bytes;
    size_t size;
};

static struct checkpointed *checkpointed_make(const char *text) {
    struct checkpointed *made = calloc(1, sizeof *made);
    const struct train_state state = {.iteration = 3};
    struct problems problems = {0};
    char error[256];
    json_t *document = json_parse(text, strlen(text), error);
    job_spec_decode(&made->spec, document, &problems);
    json_decref(document);
    const struct train_config *config = &made->spec.config;
    bool ok = problems.count == 0 && network_init(&made->network, &config->network, 2, 2, 1, NULL, error) == 0 &&
              optimizer_init(&made->optimizer, &made->network, config);
    assert(ok);
    bool tracks = config->rule.tracking == TRACKING_INITIAL;
    size_t types = (size_t)made->network.types;
    made->averages = calloc(types * types, sizeof *made->averages);
    made->arrays = (struct checkpoint_arrays){&made->network, &made->optimizer, tracks ? made->averages : NULL,
                                              tracks ? types * types : 0};
    made->size = checkpoint_size(&made->arrays);
    made->bytes = malloc(made->size);
    checkpoint_write(config, &state, &made->arrays, made->bytes);
    return made;
}

static bool discard(void *user, const void *bytes, size_t size) {
    (void)user;
    (void)bytes;
    return size < SIZE_MAX;
}

/* What was read is used as the service uses it: every weight is written out. */
static void use_checkpoint(const struct checkpointed *job, const unsigned char *bytes, size_t size) {
    struct trained trained;
    struct train_state state;
    struct error error;
    if (trained_open(&job->spec.config, bytes, size, &trained, &error) == RESULT_DONE) {
        struct writer writer = {.write = discard};
        weights_write_json(&writer, &trained, NULL, "job", "0", false);
        trained_release(&trained);
    }
    checkpoint_read(&job->spec.config, bytes, size, &state, &job->arrays, &error);
}

/*
 * First byte: which job; whether what follows is a whole checkpoint or changes (two bytes where, one byte what) of a
 * genuine one; whether magic, version, length, identity and checksum are put right, so that what lies behind them is
 * reached.
 */
static void try_checkpoint(const uint8_t *data, size_t size) {
    enum { CHECKSUM_AT = 12, SIZE_AT = 16, HEAD = 32 };
    static struct checkpointed *jobs[2];
    if (jobs[0] == NULL) {
        jobs[0] = checkpointed_make("{\"task\":{\"type\":\"delayed_xor\"},\"network\":{\"units\":6}}");
        jobs[1] = checkpointed_make(
            "{\"task\":{\"type\":\"delayed_xor\"},\"network\":{\"units\":8,\"bias\":true},\"rule\":{\"type\":"
            "\"modprop\",\"weights\":\"type\",\"tracking\":\"initial\",\"feedback\":\"random\"}}");
    }
    if (size == 0) {
        return;
    }
    const struct checkpointed *job = jobs[data[0] & 1];
    bool changes = (data[0] & 2) != 0, repaired = (data[0] & 4) != 0;
    size_t length = changes ? job->size : size - 1;
    unsigned char *bytes = malloc(length + 1);
    memcpy(bytes, changes ? job->bytes : data + 1, length);
    for (size_t i = 1; changes && i + 2 < size; i += 3) {
        bytes[(data[i] | (size_t)data[i + 1] << 8) % length] = data[i + 2];
    }
    if (repaired && length >= HEAD) {
        uint64_t told = length;
        memcpy(bytes, job->bytes, HEAD);
        memcpy(bytes + SIZE_AT, &told, sizeof told);
        uint32_t sum = (uint32_t)crc32(0, bytes + SIZE_AT, (uInt)(length - SIZE_AT));
        memcpy(bytes + CHECKSUM_AT, &sum, sizeof sum);
    }
    use_checkpoint(job, bytes, length);
    free(bytes);
}

/* ---- what workers report ---- */

/* A text and its numbers, read and written again, stay as they are: what is computed twice is compared as text. */
static void try_record(const json_t *record) {
    const struct event_head head = {.job = "00000000-0000-4000-8000-000000000000", .id = 1, .time = 1};
    double elapsed, rate;
    char error[256];
    struct train_progress progress = event_progress_read(record, &elapsed, &rate);
    char *text = event_progress_text(&head, &progress, elapsed, rate), *check = event_progress_check(&progress);
    json_t *again = json_parse(text, strlen(text), error);
    assert(again != NULL);
    progress = event_progress_read(again, &elapsed, &rate);
    char *text_again = event_progress_text(&head, &progress, elapsed, rate);
    char *check_again = event_progress_check(&progress);
    assert(strcmp(text, text_again) == 0 && strcmp(check, check_again) == 0);
    free(text);
    free(check);
    free(text_again);
    free(check_again);
    json_decref(again);
}

/* The body of a worker's call: {"records": [...]}. */
static void try_records(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    json_t *body = body_of(data, size, &problems, error);
    const json_t *record, *records = json_object_get(body, "records");
    size_t i;
    json_array_foreach(records, i, record) {
        try_record(record);
    }
    problems_release(&problems);
    json_decref(body);
}

/* ---- what an administrator writes ---- */

/* A token file and, after its first zero byte, an Authorization header. */
static void try_tokens(const uint8_t *data, size_t size) {
    const uint8_t *zero = memchr(data, 0, size);
    size_t length = zero == NULL ? size : (size_t)(zero - data);
    struct config config = {.token_file = (char *)(uintptr_t)file_of(data, length), .rate = 5};
    char error[CONFIG_ERROR_BYTES] = "", name[TOKEN_NAME_BYTES], *header = text_of(data + length, size - length);
    struct auth *auth = auth_create(&config, error);
    if (auth == NULL) {
        assert(strchr(error, '\n') == NULL && error[0] != '\0');
    } else {
        int seconds = 0;
        enum role role = auth_check(auth, zero == NULL ? "" : header + 1, name);
        assert((role == ROLE_PUBLIC) == (name[0] == '\0'));
        assert(auth_count(auth) > 0 && auth_rate_take(auth, name, &seconds));
        assert(auth_reload(auth, error));
    }
    auth_destroy(auth);
    free(header);
}

/* A configuration file (first byte even) or a command line (odd), with entries separated by zero bytes. */
static void try_config(const uint8_t *data, size_t size) {
    char *arguments[34], *none[] = {NULL}, error[CONFIG_ERROR_BYTES] = "", *text = text_of(data, size);
    int count = 0;
    struct config config;
    if (size > 0 && (data[0] & 1) == 0) {
        arguments[count++] = (char *)(uintptr_t)"--data=x";
        arguments[count++] = (char *)(uintptr_t)"--config";
        arguments[count++] = (char *)(uintptr_t)file_of(data + 1, size - 1);
    } else {
        for (size_t at = 1; at < size && count < 32; at += strlen(text + at) + 1) {
            arguments[count++] = text + at;
        }
    }
    if (config_read(&config, count, arguments, none, error) == CONFIG_BAD) {
        assert(error[0] != '\0');
    }
    config_release(&config);
    free(text);
}

/* ---- options ---- */

static const struct option options[] = {{"count", 'c', OPTION_INTEGER, "N", -1, 20, false, ""},
                                        {"size", 0, OPTION_BYTES, "BYTES", 1, INT64_MAX, false, ""},
                                        {"timeout", 't', OPTION_SECONDS, "SECONDS", 1, 86400, false, ""},
                                        {"all", 'a', OPTION_SWITCH, NULL, 0, 0, false, ""},
                                        {"format", 0, OPTION_CHOICE, "text|json", 0, 0, false, ""},
                                        {"name", 'n', OPTION_TEXT, "NAME", 0, 0, false, ""},
                                        {"to", 0, OPTION_LIST, "A,B", 0, 0, true, ""},
                                        OPTIONS_END};
static const struct option_words option_words = {.tables = {{options, sizeof *options}}, .program = "fuzz"};

/* What fails says why, within its buffer. */
static void check_fault(bool read, const char *fault) {
    assert(read || (fault[0] != '\0' && memchr(fault, '\0', OPTION_FAULT_BYTES) != NULL));
}

/* What is in a range was meant to be in it, and its number written out reads back. */
static void try_value(const struct option *option, const char *value) {
    char fault[OPTION_FAULT_BYTES] = "", text[32];
    int64_t number = 0, again = 0;
    bool read = option_read_value(option, option->name, value, &number, fault);
    check_fault(read, fault);
    bool ranged = option->type == OPTION_INTEGER || option->type == OPTION_BYTES || option->type == OPTION_SECONDS;
    if (read && ranged) {
        snprintf(text, sizeof text, "%lld", (long long)number);
        bool same = option_read_value(option, option->name, text, &again, fault) && again == number;
        assert(same && number >= option->low && number <= option->high);
    }
}

static void try_list(const char *rest) {
    const char *end = rest + strlen(rest);
    size_t length = 0;
    while (rest != NULL) {
        const char *entry = option_list_next(&rest, &length);
        assert(entry == NULL || entry + length <= end);
    }
}

static bool take_option(void *user, const struct option *option, const char *value, char fault[OPTION_FAULT_BYTES]) {
    (void)user;
    (void)fault;
    if (value != NULL) {
        try_value(option, value);
    }
    return true;
}

static bool take_setting(void *user, const char *path, int line, const char *key, const char *value,
                         char fault[OPTION_FAULT_BYTES]) {
    static const char *const known[] = {"count", "size", "timeout"};
    (void)user;
    (void)path;
    (void)fault;
    assert(line > 0 && strchr(key, '\n') == NULL && strchr(value, '\n') == NULL);
    const char *nearest = name_nearest(key, known, 3);
    assert(nearest == NULL || nearest == known[0] || nearest == known[1] || nearest == known[2]);
    try_list(value);
    return true;
}

/* First byte: a settings file, words of a command line (parted by zero bytes), or a value of the option of that number.
 */
static void try_options(const uint8_t *data, size_t size) {
    enum { OPTIONS = sizeof options / sizeof options[0] - 1, SETTINGS = OPTIONS, WORDS };
    char fault[OPTION_FAULT_BYTES] = "", *text = text_of(data, size), *arguments[16], *begin = text + 1;
    int kind = size == 0 ? SETTINGS : data[0] % (WORDS + 1), count = 0, used = 1;
    if (size == 0 || (kind == SETTINGS && text_begin(&begin, size - 1) != NULL)) {
        free(text);
        return;
    }
    if (kind == SETTINGS) {
        size_t left = (size_t)(text + size - begin);
        check_fault(settings_read_text(begin, left, "path", take_setting, NULL, fault), fault);
    } else if (kind == WORDS) {
        for (size_t at = 1; at < size && count < 16; at += strlen(text + at) + 1) {
            arguments[count++] = text + at;
        }
        for (int i = 0; i < count && used > 0; i += used) {
            used = 1;
            bool dash = arguments[i][0] == '-' && arguments[i][1] != '\0';
            bool read = !dash ||
                        option_read_word(&option_words, arguments + i, count - i, &used, take_option, NULL, fault);
            check_fault(read, fault);
            assert(used > 0 && used <= count - i);
        }
    } else {
        try_value(&options[kind], begin);
    }
    free(text);
}

/* ---- the table ---- */

static const struct target {
    const char *name;
    void (*run)(const uint8_t *data, size_t size);
} targets[] = {{"accept", try_accept},
               {"checkpoint", try_checkpoint},
               {"config", try_config},
               {"dataset", try_dataset},
               {"gradients", try_gradients},
               {"idx", try_idx},
               {"job", try_job},
               {"options", try_options},
               {"query", try_query},
               {"records", try_records},
               {"search", try_search},
               {"simulate", try_simulate},
               {"safetensors", try_safetensors},
               {"tokens", try_tokens}};
static const struct target *target;

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    const char *name = getenv("FUZZ_TARGET");
    (void)count;
    (void)arguments;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (name != NULL && strcmp(name, targets[i].name) == 0) {
            target = &targets[i];
            return 0;
        }
    }
    fprintf(stderr, "FUZZ_TARGET must name a parser of tests/fuzz/target.c\n");
    exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    target->run(data, size);
    return 0;
}
