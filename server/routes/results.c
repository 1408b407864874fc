/*
 * Routes of results, all made in lanes: curves, weights, gradients; and the last line of a stream.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/field.h"
#include "api/gradients.h"
#include "api/job.h"
#include "api/text.h"
#include "api/weights.h"
#include "core/base/options.h"
#include "server/experiments/metrics.h"
#include "server/routes/network.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- curves ---- */

struct curves {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    int64_t points;   /* 0: all */
    int64_t from, to; /* iterations, both included */
    char keys[QUERY_VALUE_BYTES];
    bool csv;
    char *names[CURVES_MAX]; /* names[0] is "iteration" */
    double *values[CURVES_MAX];
    size_t curve_count, length, capacity;
    bool failed;
};

static void curves_release(struct computation *computation) {
    struct curves *curves = (struct curves *)computation; /* its first member */
    for (size_t i = 0; i < curves->curve_count; i++) {
        free(curves->names[i]);
        free(curves->values[i]);
    }
    free(curves);
}

/* True where ?keys= names this curve (or nothing). */
static bool key_is_wanted(const struct curves *curves, const char *name) {
    size_t length = strlen(name);
    if (curves->keys[0] == '\0' || strcmp(name, "iteration") == 0) {
        return true;
    }
    for (const char *key = curves->keys; *key != '\0'; key += strcspn(key, ",") + (key[strcspn(key, ",")] == ',')) {
        if (strcspn(key, ",") == length && strncmp(key, name, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Adds a fault for each name in ?keys= that is not a curve. */
static void check_keys(const char *keys, struct problems *problems) {
    const char *names[CURVES_MAX];
    char name[QUERY_VALUE_BYTES];
    size_t count = event_curves(names), length;
    for (const char *rest = *keys == '\0' ? NULL : keys, *key; (key = option_list_next(&rest, &length)) != NULL;) {
        bool known = false;
        snprintf(name, sizeof name, "%.*s", (int)length, key);
        for (size_t i = 0; i < count; i++) {
            known = known || strcmp(names[i], name) == 0;
        }
        if (!known) {
            curve_refuse(problems, name);
        }
    }
}

/* The index of a curve; a new one starts as NaN. -1 if it was not requested or there are too many. */
static int curve_find(struct curves *curves, const char *name) {
    for (size_t i = 0; i < curves->curve_count; i++) {
        if (strcmp(curves->names[i], name) == 0) {
            return (int)i;
        }
    }
    if (curves->curve_count == CURVES_MAX || !key_is_wanted(curves, name)) {
        return -1;
    }
    char *copy = strdup(name);
    double *values = malloc((curves->capacity == 0 ? 1 : curves->capacity) * sizeof *values);
    if (copy == NULL || values == NULL) {
        free(copy);
        free(values);
        curves->failed = true;
        return -1;
    }
    for (size_t i = 0; i < curves->length; i++) {
        values[i] = NAN;
    }
    curves->names[curves->curve_count] = copy;
    curves->values[curves->curve_count] = values;
    return (int)curves->curve_count++;
}

static bool curves_grow(struct curves *curves) {
    if (curves->length < curves->capacity) {
        return true;
    }
    size_t capacity = curves->capacity == 0 ? 256 : curves->capacity * 2;
    for (size_t i = 0; i < curves->curve_count; i++) {
        double *values = realloc(curves->values[i], capacity * sizeof *values);
        if (values == NULL) {
            curves->failed = true;
            return false;
        }
        curves->values[i] = values;
    }
    curves->capacity = capacity;
    return true;
}

/* Every number of a progress event is a curve. */
static bool take_progress(void *user, const struct store_event *event) {
    static const char *const head[] = {"id", "seq"};
    struct curves *curves = user;
    json_t *document = json_loads(event->json, 0, NULL), *value;
    const char *name;
    if (document == NULL || !curves_grow(curves)) {
        json_decref(document);
        return false;
    }
    for (size_t i = 0; i < curves->curve_count; i++) {
        curves->values[i][curves->length] = NAN;
    }
    curves->length++;
    json_object_foreach(document, name, value) {
        bool is_number = json_is_number(value) || json_is_null(value);
        int index = !is_number || strcmp(name, head[0]) == 0 || strcmp(name, head[1]) == 0 ? -1
                                                                                           : curve_find(curves, name);
        if (index >= 0 && !json_is_null(value)) {
            curves->values[index][curves->length - 1] = json_number_value(value);
        }
    }
    json_decref(document);
    return !curves->failed && !lane_is_stopped(curves);
}

/* Marks the minimum and the maximum of every bucket of one curve. */
static void mark_extremes(const double *values, size_t length, size_t buckets, bool *kept) {
    for (size_t b = 0; b < buckets; b++) {
        size_t from = b * length / buckets, to = (b + 1) * length / buckets, least = from, greatest = from;
        bool seen = false;
        for (size_t i = from; i < to; i++) {
            if (!isnan(values[i])) {
                least = !seen || values[i] < values[least] ? i : least;
                greatest = !seen || values[i] > values[greatest] ? i : greatest;
                seen = true;
            }
        }
        if (from < to) {
            kept[least] = kept[greatest] = true;
        }
    }
}

/*
 * Thins to about `points` entries: the first, the last, and in each bucket of iterations the extremes of the loss, so
 * that spikes are kept. The other curves are reported at the same iterations.
 */
static void thin(struct curves *curves) {
    size_t points = (size_t)curves->points;
    if (points == 0 || curves->length <= points) {
        return;
    }
    bool *kept = calloc(curves->length, sizeof *kept);
    if (kept == NULL) {
        curves->failed = true;
        return;
    }
    size_t index = 0;
    for (size_t i = 1; i < curves->curve_count; i++) {
        index = index == 0 || strcmp(curves->names[i], "loss") == 0 ? i : index;
    }
    kept[0] = kept[curves->length - 1] = true;
    if (points > 3) {
        mark_extremes(curves->values[index], curves->length, (points - 2) / 2, kept);
    }
    size_t used = 0;
    for (size_t i = 0; i < curves->length; i++) {
        for (size_t c = 0; kept[i] && c < curves->curve_count; c++) {
            curves->values[c][used] = curves->values[c][i];
        }
        used += kept[i];
    }
    curves->length = used;
    free(kept);
}

static void write_value(struct writer *writer, const struct curves *curves, size_t curve, size_t index,
                        const char *absent) {
    char number[32];
    double value = curves->values[curve][index];
    if (isnan(value)) {
        writer_text(writer, absent);
    } else if (curve == 0) {
        snprintf(number, sizeof number, "%.0f", value);
        writer_text(writer, number);
    } else {
        number_put(value, number);
        writer_text(writer, number);
    }
}

static void write_curves_json(struct writer *writer, const struct curves *curves) {
    for (size_t c = 0; c < curves->curve_count; c++) {
        writer_text(writer, c == 0 ? "{\"" : ",\"");
        writer_text(writer, curves->names[c]);
        writer_text(writer, "\":[");
        for (size_t i = 0; i < curves->length; i++) {
            writer_text(writer, i == 0 ? "" : ",");
            write_value(writer, curves, c, i, "null");
        }
        writer_text(writer, "]");
    }
    writer_text(writer, "}");
}

static void write_curves_csv(struct writer *writer, const struct curves *curves) {
    for (size_t c = 0; c < curves->curve_count; c++) {
        writer_text(writer, c == 0 ? "" : ",");
        writer_text(writer, curves->names[c]);
    }
    writer_text(writer, "\r\n");
    for (size_t i = 0; i < curves->length; i++) {
        for (size_t c = 0; c < curves->curve_count; c++) {
            writer_text(writer, c == 0 ? "" : ",");
            write_value(writer, curves, c, i, "");
        }
        writer_text(writer, "\r\n");
    }
}

static void work_curves(struct computation *computation) {
    const char *names[CURVES_MAX];
    struct curves *curves = (struct curves *)computation;
    (void)event_curves(names);
    for (size_t i = 0; i < CURVES_ALWAYS; i++) {
        curve_find(curves, names[i]);
    }
    if (curves->curve_count == 0 ||
        store_progress_read(computation_reader(computation), curves->job, curves->from, curves->to, take_progress,
                            curves) < 0 ||
        curves->failed) {
        computation_fail(computation, 500, "the metrics cannot be read");
        return;
    }
    thin(curves);
    if (curves->csv) {
        write_curves_csv(&computation->writer, curves);
    } else {
        write_curves_json(&computation->writer, curves);
    }
}

void route_job_metrics(struct server *server, struct request *request) {
    struct store_job job;
    struct curves *curves = calloc(1, sizeof *curves);
    if (curves == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    curves->to = INT64_MAX;
    const struct query_parameter parameters[] = {
        {.name = "points", .type = QUERY_INTEGER, .low = 2, .high = 10000000, .integer = &curves->points},
        {.name = "from", .type = QUERY_INTEGER, .low = 0, .high = INT64_MAX, .integer = &curves->from},
        {.name = "to", .type = QUERY_INTEGER, .low = 0, .high = INT64_MAX, .integer = &curves->to},
        {.name = "keys", .type = QUERY_TEXT, .text = curves->keys}};
    struct problems problems = {0};
    if (!read_query(request, parameters, COUNT(parameters))) {
        free(curves);
        return;
    }
    check_keys(curves->keys, &problems);
    if (problems.count > 0) {
        reply_problems(request, 422, "the query has bad parameters", &problems);
        free(curves);
        return;
    }
    if (!read_job(server, request, &job)) {
        free(curves);
        return;
    }
    memcpy(curves->job, job.id, sizeof curves->job);
    store_job_release(&job);
    curves->csv = strcmp(request->type, "text/csv") == 0;
    computation_init(&curves->computation, server, request,
                     curves->csv ? "text/csv; charset=utf-8; header=present" : "application/json");
    curves->computation.work = work_curves;
    curves->computation.release = curves_release;
    computation_start(&curves->computation, LANE_READS);
}

/* ---- weights ---- */

enum weights_form { WEIGHTS_JSON, WEIGHTS_SAFETENSORS, WEIGHTS_LINE, WEIGHTS_EVENT };

struct encoding {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    int64_t iteration; /* -1: the newest */
    enum weights_form form;
    char *condition; /* If-None-Match; NULL */
    /* of a stream: who gets the line; NULL once it is no longer wanted */
    void (*done)(void *to, struct spool *line);
    void *to;
};

static void encoding_release(struct computation *computation) {
    struct encoding *encoding = (struct encoding *)computation; /* its first member */
    spool_release(&computation->out);
    free(encoding->condition);
    free(encoding);
}

static void write_weights(struct encoding *encoding, const struct trained *trained, const json_t *model) {
    struct writer *writer = &encoding->computation.writer;
    char sha256[65];
    weights_digest(trained, sha256);
    /* the same numbers are different bytes in another format, and a document states its iteration */
    snprintf(encoding->computation.etag, sizeof encoding->computation.etag, "\"%s-%s-%lld\"", sha256,
             encoding->form == WEIGHTS_SAFETENSORS ? "safetensors" : "json", (long long)trained->iteration);
    if (encoding->condition != NULL && etag_matches(encoding->condition, encoding->computation.etag)) {
        encoding->computation.status = 304;
    } else if (encoding->form == WEIGHTS_SAFETENSORS) {
        weights_write_safetensors(writer, trained, model, encoding->job, sha256);
    } else {
        writer_text(writer, encoding->form == WEIGHTS_EVENT ? "event: weights\ndata: " : "");
        weights_write_json(writer, trained, model, encoding->job, sha256, encoding->form != WEIGHTS_JSON);
        writer_text(writer, encoding->form == WEIGHTS_EVENT ? "\n\n" : encoding->form == WEIGHTS_LINE ? "\n" : "");
    }
}

static void work_weights(struct computation *computation) {
    struct encoding *encoding = (struct encoding *)computation;
    struct job_spec spec;
    struct trained trained;
    if (!network_open(computation, encoding->job, encoding->iteration, &spec, &trained)) {
        return;
    }
    json_t *model = weights_model(&spec);
    if (model == NULL) {
        computation_fail(computation, 503, "not enough memory for these weights now");
    } else {
        write_weights(encoding, &trained, model);
    }
    json_decref(model);
    network_close(&spec, &trained);
}

void route_weights(struct server *server, struct request *request) {
    char format[QUERY_VALUE_BYTES] = "";
    int64_t iteration = -1;
    const struct query_parameter parameters[] = {
        {.name = "format", .type = QUERY_TEXT, .text = format},
        {.name = "iteration", .type = QUERY_INTEGER, .low = 0, .high = INT64_MAX, .integer = &iteration}};
    struct store_job job;
    if (!read_query(request, parameters, COUNT(parameters))) {
        return;
    }
    if (*format != '\0' && strcmp(format, "json") != 0 && strcmp(format, "safetensors") != 0) {
        struct problems problems = {0};
        problems_add(&problems, NULL, "format", "must be json or safetensors; got \"%.60s\"", format);
        reply_problems(request, 422, "the query has bad parameters", &problems);
        return;
    }
    bool safetensors = strcmp(format, "safetensors") == 0 ||
                       (*format == '\0' && strcmp(request->type, "application/octet-stream") == 0);
    if (!read_job(server, request, &job)) {
        return;
    }
    store_job_release(&job);
    struct encoding *encoding = calloc(1, sizeof *encoding);
    if (encoding == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    const char *condition = http_header(request, "If-None-Match");
    memcpy(encoding->job, request->parameter, strlen(request->parameter) + 1);
    encoding->iteration = iteration;
    encoding->form = safetensors ? WEIGHTS_SAFETENSORS : WEIGHTS_JSON;
    encoding->condition = condition == NULL ? NULL : strdup(condition);
    computation_init(&encoding->computation, server, request,
                     safetensors ? "application/octet-stream" : "application/json");
    encoding->computation.work = work_weights;
    encoding->computation.release = encoding_release;
    if (safetensors) {
        char disposition[128];
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.safetensors\"", encoding->job);
        http_header_set(request, "Content-Disposition", disposition);
    }
    computation_start(&encoding->computation, LANE_READS);
}

/* ---- the last line of a stream ---- */

static void run_line(struct lane_task *task) {
    struct encoding *encoding = (struct encoding *)task;
    work_weights(&encoding->computation);
    spool_finish(&encoding->computation.out);
}

static void finish_line(struct lane_task *task) {
    struct encoding *encoding = (struct encoding *)task;
    struct spool *line = &encoding->computation.out;
    if (encoding->done != NULL) {
        bool ok = task->outcome == LANE_GO && encoding->computation.status == 200 && line->error == 0;
        struct spool taken = *line;
        if (ok) {
            spool_init(line, line->directory); /* it belongs to the stream from now on */
        }
        encoding->done(encoding->to, ok ? &taken : NULL);
    }
    encoding_release(&encoding->computation);
}

bool results_weights_begin(void *user, const char *job, bool as_sse, void (*done)(void *to, struct spool *line),
                           void *to, void **handle) {
    struct server *server = user;
    struct encoding *encoding = answers_are_full(server) ? NULL : calloc(1, sizeof *encoding);
    if (encoding == NULL) {
        return false;
    }
    snprintf(encoding->job, sizeof encoding->job, "%s", job);
    encoding->iteration = -1;
    encoding->form = as_sse ? WEIGHTS_EVENT : WEIGHTS_LINE;
    encoding->done = done;
    encoding->to = to;
    computation_init(&encoding->computation, server, NULL, NULL);
    encoding->computation.task.run = run_line;
    encoding->computation.task.finish = finish_line;
    if (server->lanes == NULL || !lanes_submit(server->lanes, LANE_READS, "", job, &encoding->computation.task)) {
        encoding_release(&encoding->computation);
        return false;
    }
    *handle = encoding;
    return true;
}

void results_weights_forget(void *user, void *handle) {
    struct encoding *encoding = handle;
    (void)user;
    encoding->done = NULL;
    atomic_store(&encoding->computation.task.stop, LANE_GONE);
}

/* ---- gradients ---- */

struct gradient_work {
    struct computation computation; /* first */
    struct gradients_request decoded;
    bool is_read; /* it may come twice: see computation_memory */
};

static void gradient_work_release(struct computation *computation) {
    struct gradient_work *work = (struct gradient_work *)computation; /* its first member */
    gradients_request_release(&work->decoded);
    free(work);
}

/* One rule; false, with the response's status, if it fails. */
static bool compute_rule(struct gradient_work *work, const struct rule_config *rule, struct gradients *gradients,
                         double *loss) {
    struct error error = {.text = ""};
    struct computation *computation = &work->computation;
    switch (gradients_compute(&work->decoded.problem, rule, computation->server->cores, lane_is_stopped, computation,
                              gradients, loss, &error)) {
    case RESULT_DONE:
        return true;
    case RESULT_INVALID:
        computation_fail(computation, 422, "%.400s", error.text);
        return false;
    case RESULT_NO_MEMORY:
        computation_fail(computation, 503, "not enough memory for this request now");
        return false;
    default:
        computation_fail(computation, 503, "the computation was stopped");
        return false;
    }
}

/* What the largest of its engines takes: one follows the other. */
static size_t memory_of(const struct gradient_work *work) {
    const struct rule_config truth = {.type = RULE_EXACT};
    size_t most = gradients_memory(&work->decoded.problem, &truth);
    for (int i = 0; i < work->decoded.rule_count; i++) {
        size_t one = gradients_memory(&work->decoded.problem, &work->decoded.rules[i]);
        most = one > most ? one : most;
    }
    return most;
}

static void compute_all(struct gradient_work *work, struct gradients *bptt, struct gradients *gradients) {
    const struct rule_config truth = {.type = RULE_EXACT};
    struct writer *writer = &work->computation.writer;
    double loss = NAN;
    if (!compute_rule(work, &truth, bptt, &loss)) {
        return;
    }
    gradients_write_begin(writer, loss);
    for (int i = 0; i < work->decoded.rule_count; i++) {
        if (!compute_rule(work, &work->decoded.rules[i], gradients, &loss)) {
            return;
        }
        gradients_write_rule(writer, &work->decoded, i, gradients, bptt);
    }
    gradients_write_end(writer);
}

static bool gradient_work_read(struct gradient_work *work) {
    struct computation *computation = &work->computation;
    json_t *document = work->is_read ? NULL : computation_body(computation);
    if (document != NULL) {
        gradients_request_decode(&work->decoded, document, &computation->problems);
        json_decref(document);
        computation_tidy(computation);
        work->is_read = true;
    }
    return work->is_read;
}

static void work_gradients(struct computation *computation) {
    struct gradient_work *work = (struct gradient_work *)computation;
    struct gradients bptt = {0}, gradients = {0};
    if (!gradient_work_read(work)) {
        return;
    }
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    } else if (!computation_memory(computation, memory_of(work))) {
        return;
    } else if (!gradients_create(&work->decoded.problem, &bptt) ||
               !gradients_create(&work->decoded.problem, &gradients)) {
        computation_fail(computation, 503, "not enough memory for this request now");
    } else {
        compute_all(work, &bptt, &gradients);
    }
    gradients_release(&bptt);
    gradients_release(&gradients);
}

void route_gradients(struct server *server, struct request *request) {
    struct gradient_work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    computation_init(&work->computation, server, request, "application/json");
    work->computation.work = work_gradients;
    work->computation.release = gradient_work_release;
    computation_start(&work->computation, LANE_HEAVY);
}
