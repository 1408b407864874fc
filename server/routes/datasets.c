/*
 * Datasets: a body is streamed to a temporary file, checked in a lane, and becomes a version of its name
 * (datasets/catalog.h). Requests are answered from the catalogue, which is in memory: only a PUT reads data. Jobs hold
 * the versions that they use, so neither a PUT nor a DELETE is ever refused because of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/event.h"
#include "api/text.h"
#include "server/datasets/catalog.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define PAGE_DEFAULT 100
#define PAGE_MOST 1000

/* A body on its way to disk; request->user of a PUT. */
struct upload {
    struct request *request;
    struct server *server;
    int descriptor;
    bool sized;       /* its length was announced */
    int64_t promised; /* bytes that the catalogue reserves for it */
    char path[SHELF_PATH_BYTES];
};

struct dataset_work {
    struct computation computation; /* first */
    char name[DATASET_NAME_BYTES];
    char path[SHELF_PATH_BYTES];   /* PUT: of the upload, until it belongs to the catalogue */
    char after[QUERY_VALUE_BYTES]; /* the list: a page after this name */
    int64_t limit;
};

/* ---- documents ---- */

static json_t *version_document(const struct catalog_version *version, bool newest) {
    char created[TIME_TEXT_BYTES];
    time_text(version->created, created);
    return json_pack("{s:s, s:I, s:s, s:b, s:I, s:s}", "sha256", version->info.sha256, "size",
                     (json_int_t)version->info.bytes, "created_at", created, "newest", newest, "jobs",
                     (json_int_t)version->holders, "put_by", version->owner);
}

/* What the file holds. */
static json_t *content_document(const struct dataset_info *info) {
    if (info->units > 0) {
        return json_pack("{s:s, s:I, s:I, s:I, s:b}", "kind", "weights", "units", (json_int_t)info->units, "inputs",
                         (json_int_t)info->inputs, "outputs", (json_int_t)info->outputs, "bias", info->bias);
    }
    json_t *document = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:I, s:{s:s, s:s}}", "kind", "dataset",
                                 "steps", (json_int_t)info->steps, "trials", (json_int_t)info->trials, "inputs",
                                 (json_int_t)info->inputs, "outputs", (json_int_t)info->outputs, "test_trials",
                                 (json_int_t)info->test_trials, "loss", info->classes ? "cross_entropy" : "mse", "mask",
                                 info->mask, "counted", (json_int_t)info->counted, "dtypes", "inputs",
                                 info->inputs_type, "targets", info->targets_type);
    if (document != NULL && info->spikes > 0) {
        (void)json_object_set_new(document, "spikes", json_integer((json_int_t)info->spikes));
        (void)json_object_set_new(document, "test_spikes", json_integer((json_int_t)info->test_spikes));
    }
    return document;
}

/* `shown`: the version that the document describes; the newest, except in the response to a PUT that was overtaken. */
static json_t *dataset_document(const struct catalog_dataset *dataset, const struct catalog_version *shown) {
    const struct dataset_info *info = &shown->info;
    char created[TIME_TEXT_BYTES], self[128], jobs[128];
    time_text(shown->created, created);
    snprintf(self, sizeof self, "/v1/datasets/%s", dataset->name);
    snprintf(jobs, sizeof jobs, "/v1/datasets/%s/jobs", dataset->name);
    json_t *versions = json_array();
    int64_t bytes = 0;
    for (size_t i = 0; i < dataset->count && i < CATALOG_VERSIONS_SHOWN; i++) {
        json_array_append_new(versions, version_document(&dataset->versions[i], i == 0));
        bytes += dataset->versions[i].info.bytes;
    }
    json_t *document = json_pack("{s:s, s:s, s:I, s:s}", "name", dataset->name, "sha256", info->sha256, "size",
                                 (json_int_t)info->bytes, "created_at", created);
    json_t *content = content_document(info),
           *rest = json_pack("{s:I, s:I, s:I, s:o, s:{s:s, s:s}}", "memory_bytes", (json_int_t)info->memory,
                             "version_count", (json_int_t)dataset->count, "stored_bytes", (json_int_t)bytes, "versions",
                             versions, "links", "self", self, "jobs", jobs);
    (void)json_object_update(document, content);
    (void)json_object_update(document, rest);
    json_decref(content);
    json_decref(rest);
    return document;
}

/* Answers 422 if the path contains no possible dataset name. */
static bool name_is_good(struct request *request) {
    struct problems problems = {0};
    if (dataset_name_is_valid(request->parameter)) {
        return true;
    }
    problems_add(&problems, NULL, "name",
                 "must be 1 to 64 letters, digits, dots, hyphens and underscores, not beginning with a dot");
    reply_problems(request, 422, "the dataset's name is not valid", &problems);
    return false;
}

/* The dataset that the path names; answers 422, 404 or 503 and returns NULL. The caller frees. */
static struct catalog_dataset *dataset_read(struct server *server, struct request *request) {
    struct catalog_dataset *dataset = name_is_good(request) ? calloc(1, sizeof *dataset) : NULL;
    if (dataset == NULL) {
        if (!http_is_answered(request)) {
            http_problem(request, 503, "out of memory");
        }
    } else if (!catalog_find(server->catalog, request->parameter, dataset)) {
        http_problem(request, 404, "there is no dataset \"%s\"", request->parameter);
        free(dataset);
        dataset = NULL;
    }
    return dataset;
}

/* ---- changes, in a lane ---- */

/* Takes ownership of the document. */
static void document_write(struct computation *computation, json_t *document) {
    char *text = json_text(document, NULL);
    if (text == NULL) {
        computation_fail(computation, 503, "not enough memory for this response now");
    } else {
        writer_text(&computation->writer, text);
    }
    free(text);
    json_decref(document);
}

/* A version that was stored; by now the name may have another one, or be gone. */
static void version_write(struct dataset_work *work, const struct dataset_info *info) {
    struct catalog_dataset *dataset = calloc(1, sizeof *dataset);
    struct catalog_version shown = {.info = *info, .created = clock_unix_milliseconds()};
    if (dataset == NULL) {
        computation_fail(&work->computation, 503, "not enough memory for this response now");
        return;
    }
    memcpy(dataset->name, work->name, sizeof dataset->name);
    (void)catalog_find(work->computation.server->catalog, work->name, dataset);
    for (size_t i = 0; i < dataset->count && i < CATALOG_VERSIONS_SHOWN; i++) {
        if (strcmp(dataset->versions[i].info.sha256, info->sha256) == 0) {
            shown = dataset->versions[i];
        }
    }
    document_write(&work->computation, dataset_document(dataset, &shown));
    free(dataset);
}

static void work_put(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation; /* its first member */
    const struct dataset_patience patience = {.stopped = lane_is_stopped, .user = computation};
    struct dataset_info info;
    char error[DATASET_ERROR_BYTES] = "";
    int status = catalog_put(computation->server->catalog, work->name, computation->request->identity, work->path,
                             &patience, &info, error);
    work->path[0] = '\0'; /* the file is no longer ours */
    if (status < 300) {
        computation->status = status;
        version_write(work, &info);
    } else {
        computation_fail(computation, status, "%s", error);
    }
}

static void work_delete(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation;
    char error[DATASET_ERROR_BYTES] = "";
    int status = catalog_remove(computation->server->catalog, work->name, error);
    if (status == 204) {
        computation->status = 204;
    } else {
        computation_fail(computation, status, "%s", error);
    }
}

static void dataset_work_release(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation;
    if (work->path[0] != '\0') {
        unlink(work->path);
    }
    free(work);
}

/* NULL, after answering, if out of memory. */
static struct dataset_work *work_make(struct server *server, struct request *request,
                                      void (*run)(struct computation *)) {
    struct dataset_work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        http_problem(request, 503, "out of memory");
        return NULL;
    }
    snprintf(work->name, sizeof work->name, "%.64s", request->parameter);
    computation_init(&work->computation, server, request, "application/json");
    work->computation.work = run;
    work->computation.release = dataset_work_release;
    return work;
}

/* ---- PUT ---- */

static int upload_status(int number) {
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? 507 : 500;
}

/* Without an announced length, space is requested as bytes arrive. */
static bool upload_has_room(struct upload *upload, size_t size) {
    char error[DATASET_ERROR_BYTES];
    if (upload->sized) {
        int64_t written = (int64_t)size < upload->promised ? (int64_t)size : upload->promised;
        upload->promised -= written;
        catalog_room_return(upload->server->catalog, written); /* the disk counts them from now on */
        return true;
    }
    int status = catalog_room_take(upload->server->catalog, upload->request->identity, (int64_t)size, error);
    if (status != 0) {
        http_problem(upload->request, status, "%s", error);
        return false;
    }
    catalog_room_return(upload->server->catalog, (int64_t)size);
    return true;
}

static bool upload_write(void *user, const char *bytes, size_t size) {
    struct upload *upload = user;
    if (!upload_has_room(upload, size)) {
        return false;
    }
    for (size_t done = 0; done < size;) {
        ssize_t written = write(upload->descriptor, bytes + done, size - done);
        if (written < 0 && errno != EINTR) {
            http_problem(upload->request, upload_status(errno), "the dataset cannot be stored: %s", strerror(errno));
            return false;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return true;
}

static void upload_free(struct upload *upload) {
    if (upload->descriptor >= 0) {
        close(upload->descriptor);
    }
    catalog_room_return(upload->server->catalog, upload->promised);
    free(upload);
}

void begin_dataset_put(struct server *server, struct request *request) {
    static const struct body_sink sink = {.write = upload_write};
    char error[DATASET_ERROR_BYTES];
    int64_t length = http_body_length(request);
    struct upload *upload = name_is_good(request) ? calloc(1, sizeof *upload) : NULL;
    if (upload == NULL) {
        if (!http_is_answered(request)) {
            http_problem(request, 503, "out of memory");
        }
        return;
    }
    *upload = (struct upload){.request = request, .server = server, .descriptor = -1, .sized = length >= 0};
    bool fits = length <= server->config.max_dataset; /* else the body limit answers */
    int status = fits ? catalog_room_take(server->catalog, request->identity, length < 0 ? 0 : length, error) : 0;
    if (status != 0) {
        http_problem(request, status, "%s", error);
        upload_free(upload);
        return;
    }
    upload->promised = fits && length > 0 ? length : 0;
    upload->descriptor = catalog_upload_open(server->catalog, upload->path);
    if (upload->descriptor < 0) {
        http_problem(request, upload_status(errno), "the dataset cannot be stored: %s", strerror(errno));
        upload_free(upload);
        return;
    }
    request->user = upload;
    http_body_sink(request, (uint64_t)server->config.max_dataset, &sink, upload);
}

void dataset_put_abandon(struct request *request) {
    struct upload *upload = request->user;
    if (upload != NULL) {
        unlink(upload->path);
        upload_free(upload);
        request->user = NULL;
    }
}

void route_dataset_put(struct server *server, struct request *request) {
    struct upload *upload = request->user;
    request->user = NULL;
    if (upload == NULL) {
        http_problem(request, 415, "a dataset's body must be a safetensors file");
        return;
    }
    struct dataset_work *work = work_make(server, request, work_put);
    if (work != NULL) {
        memcpy(work->path, upload->path, sizeof work->path);
        computation_start(&work->computation, LANE_CHECKS);
    } else {
        unlink(upload->path);
    }
    upload_free(upload);
}

/* ---- the others ---- */

void route_dataset_delete(struct server *server, struct request *request) {
    struct dataset_work *work = name_is_good(request) ? work_make(server, request, work_delete) : NULL;
    if (work != NULL) {
        computation_start(&work->computation, LANE_CHECKS);
    }
}

static void reply_download(struct server *server, struct request *request, const struct dataset_info *info) {
    char path[SHELF_PATH_BYTES];
    catalog_path(server->catalog, info->sha256, path);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        http_problem(request, 500, "the dataset's file cannot be opened: %s", strerror(errno));
    } else {
        char etag[STORE_HASH_BYTES + 2], disposition[DATASET_NAME_BYTES + 48];
        snprintf(etag, sizeof etag, "\"%s\"", info->sha256);
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%.64s.safetensors\"", request->parameter);
        http_header_set(request, "ETag", etag);
        http_header_set(request, "Content-Disposition", disposition);
        http_reply_file(request, 200, "application/octet-stream", descriptor, (uint64_t)info->bytes);
    }
}

void route_dataset(struct server *server, struct request *request) {
    struct catalog_dataset *dataset = dataset_read(server, request);
    if (dataset != NULL && strcmp(request->type, "application/json") == 0) {
        http_reply_json(request, 200, dataset_document(dataset, &dataset->versions[0]));
    } else if (dataset != NULL) {
        reply_download(server, request, &dataset->versions[0].info);
    }
    free(dataset);
}

/* MNIST, if it has this digest: images and labels, the training set before the test set. */
static void work_mnist(struct computation *computation) {
    const struct dataset_work *work = (struct dataset_work *)computation;
    struct datasets *datasets = computation->server->datasets;
    struct task_config task = {.type = (enum task_type)0};
    const struct task_data *data;
    char text[DATASETS_ERROR_BYTES];
    while (task_ops_of(&task)->needs != NEEDS_MNIST) {
        task.type++;
    }
    if (datasets_hold(datasets, &task, work->after, &data, text) != DATASETS_HELD) {
        computation_fail(computation, 404, "there is no dataset with this sha256");
        return;
    }
    const struct trial_set *sets[] = {&data->train, &data->test};
    for (int i = 0; i < 2; i++) {
        spool_write(&computation->out, sets[i]->pixels, sets[i]->trials * 28 * 28);
        spool_write(&computation->out, sets[i]->labels, sets[i]->trials);
    }
    datasets_release(datasets, data);
}

/* A version that a job uses, whatever name it has or had: what a worker trains on. */
void route_dataset_content(struct server *server, struct request *request) {
    struct dataset_info info;
    const char *sha256 = request->parameter;
    bool possible = strlen(sha256) == STORE_HASH_BYTES - 1 &&
                    strspn(sha256, "0123456789abcdef") == STORE_HASH_BYTES - 1;
    if (!possible) {
        http_problem(request, 404, "there is no dataset with this sha256");
        return;
    }
    if (!catalog_hold_version(server->catalog, sha256, &info)) {
        struct dataset_work *work = work_make(server, request, work_mnist);
        if (work != NULL) {
            snprintf(work->after, sizeof work->after, "%s", sha256);
            work->computation.type = "application/octet-stream";
            computation_start(&work->computation, LANE_READS);
        }
        return;
    }
    reply_download(server, request, &info);
    catalog_release(server->catalog, sha256); /* the response has opened the file */
}

static bool holder_add(void *user, const char *id, int64_t number) {
    (void)number;
    json_array_append_new(user, json_string(id));
    return true;
}

/* The jobs of the newest version, or of another one, a page at a time. */
void route_dataset_jobs(struct server *server, struct request *request) {
    char sha256[QUERY_VALUE_BYTES] = "", before[QUERY_VALUE_BYTES] = "";
    int64_t limit = PAGE_DEFAULT, number = INT64_MAX;
    const struct query_parameter query[] = {
        {.name = "sha256", .type = QUERY_TEXT, .text = sha256},
        {.name = "before", .type = QUERY_TEXT, .text = before},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = PAGE_MOST, .integer = &limit},
    };
    struct store_job job = {0};
    struct catalog_dataset *dataset = read_query(request, query, sizeof query / sizeof query[0])
                                          ? dataset_read(server, request)
                                          : NULL;
    if (dataset == NULL) {
        return;
    }
    if (*before != '\0') {
        number = store_job_read(server->reader, before, &job) == 1 ? job.number : 0;
        store_job_release(&job);
    }
    json_t *list = json_array();
    const char *of = *sha256 != '\0' ? sha256 : dataset->versions[0].info.sha256;
    if (store_data_jobs(server->reader, of, number, (int)limit, holder_add, list) < 0) {
        json_decref(list);
        http_problem(request, 500, "the jobs cannot be read");
    } else {
        size_t count = json_array_size(list);
        json_t *next = (int64_t)count < limit ? json_null() : json_incref(json_array_get(list, count - 1));
        http_reply_json(request, 200, json_pack("{s:s, s:o, s:o}", "sha256", of, "jobs", list, "next", next));
    }
    free(dataset);
}

static void list_add(void *user, const struct catalog_dataset *dataset) {
    json_array_append_new(user, dataset_document(dataset, &dataset->versions[0]));
}

/* In a lane: a page may be a megabyte. */
static void work_list(struct computation *computation) {
    const struct dataset_work *work = (struct dataset_work *)computation; /* its first member */
    struct catalog *catalog = computation->server->catalog;
    json_t *list = json_array();
    size_t count = catalog_list(catalog, work->after, (size_t)work->limit, list_add, list);
    const struct catalog_totals totals = catalog_totals(catalog);
    const json_t *last = json_array_get(list, json_array_size(list) - 1);
    json_t *next = (int64_t)count < work->limit ? json_null() : json_incref(json_object_get(last, "name"));
    document_write(computation,
                   json_pack("{s:o, s:o, s:{s:I, s:I, s:I}, s:{s:I, s:I}}", "datasets", list, "next", next, "total",
                             "datasets", (json_int_t)totals.names, "versions", (json_int_t)totals.versions, "bytes",
                             (json_int_t)totals.bytes, "unnamed", "versions", (json_int_t)totals.unnamed, "bytes",
                             (json_int_t)totals.unnamed_bytes));
}

void route_datasets(struct server *server, struct request *request) {
    char after[QUERY_VALUE_BYTES] = "";
    int64_t limit = PAGE_MOST;
    const struct query_parameter query[] = {
        {.name = "after", .type = QUERY_TEXT, .text = after},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = PAGE_MOST, .integer = &limit},
    };
    struct dataset_work *work = read_query(request, query, sizeof query / sizeof query[0])
                                    ? work_make(server, request, work_list)
                                    : NULL;
    if (work != NULL) {
        snprintf(work->after, sizeof work->after, "%s", after);
        work->limit = limit;
        computation_start(&work->computation, LANE_READS);
    }
}
