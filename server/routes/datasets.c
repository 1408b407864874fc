/*
 * Datasets: a body streams to a file beside its place, is checked in a lane, and takes its place by a
 * rename. A dataset that an unfinished job trains on is not replaced or deleted: the job could not be resumed to the
 * same bits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/event.h"
#include "api/job.h"
#include "api/text.h"
#include "server/datasets/files.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define UNFINISHED (1u << JOB_QUEUED | 1u << JOB_RUNNING | 1u << JOB_PAUSING | 1u << JOB_PAUSED | 1u << JOB_CANCELLING)

/* A body on its way to disk; request->user of a PUT. */
struct upload {
    struct request *request;
    int descriptor;
    char path[4096];
};

struct dataset_work {
    struct computation computation; /* first */
    char name[DATASET_NAME_BYTES];
    char path[4096]; /* of the upload; "" : delete */
};

static json_t *info_document(const struct dataset_info *info) {
    char created[TIME_TEXT_BYTES], link[128];
    time_text(info->created, created);
    snprintf(link, sizeof link, "/v1/datasets/%s", info->name);
    return json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:{s:s}}", "name", info->name, "sha256",
                     info->sha256, "size", (json_int_t)info->bytes, "created_at", created, "steps",
                     (json_int_t)info->steps, "trials", (json_int_t)info->trials, "inputs", (json_int_t)info->inputs,
                     "outputs", (json_int_t)info->outputs, "test_trials", (json_int_t)info->test_trials, "loss",
                     info->classes ? "cross_entropy" : "mse", "mask", info->mask, "links", "self", link);
}

/* Answers 422 where the path names nothing that could be a dataset. */
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

/* ---- work in lanes ---- */

struct usage {
    const char *name;
    char job[STORE_ID_BYTES];
};

static bool note_user(void *user, const struct store_job *job) {
    struct usage *usage = user;
    if (strcmp(job->task, "dataset") != 0) {
        return true;
    }
    json_t *document = job_spec_brief(job->brief);
    const char *name = json_string_value(json_object_get(json_object_get(document, "task"), "name"));
    bool uses = name != NULL && strcmp(name, usage->name) == 0;
    if (uses) {
        memcpy(usage->job, job->id, sizeof usage->job);
    }
    json_decref(document);
    return !uses;
}

/* True, answered, where an unfinished job needs the dataset as it is. */
static bool is_in_use(struct dataset_work *work) {
    struct usage usage = {.name = work->name};
    store_jobs_with(computation_reader(&work->computation), UNFINISHED, note_user, &usage);
    if (usage.job[0] != '\0') {
        computation_fail(&work->computation, 409, "the dataset \"%s\" is in use by job %s, which is not finished",
                         work->name, usage.job);
    }
    return usage.job[0] != '\0';
}

static void write_info(struct dataset_work *work, const struct dataset_info *info) {
    json_t *document = info_document(info);
    char *text = json_text(document, NULL);
    writer_text(&work->computation.writer, text == NULL ? "{}" : text);
    free(text);
    json_decref(document);
}

static void work_put(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation; /* its first member */
    struct dataset_info info, known;
    char error[DATASET_ERROR_BYTES], path[4096];
    bool replaced = false;
    int status;
    bool exists = dataset_find(computation->server->config.data, work->name, &known, path, error) != 0;
    if (exists && is_in_use(work)) {
        return;
    }
    if (!dataset_adopt(computation->server->config.data, work->name, work->path, &info, &replaced, &status, error)) {
        computation_fail(computation, status, "%s", error);
    } else {
        computation->status = exists ? 200 : 201;
        write_info(work, &info);
    }
    work->path[0] = '\0'; /* the file is no longer ours */
}

static void work_delete(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation;
    if (!is_in_use(work)) {
        bool removed = dataset_remove(computation->server->config.data, work->name);
        if (removed) {
            computation->status = 204;
        } else {
            computation_fail(computation, 404, "there is no dataset \"%s\"", work->name);
        }
    }
}

static void dataset_work_release(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation;
    if (work->path[0] != '\0') {
        unlink(work->path);
    }
    free(work);
}

static void start_work(struct server *server, struct request *request, enum lane lane,
                       void (*run)(struct computation *), const char *path) {
    struct dataset_work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    snprintf(work->name, sizeof work->name, "%.64s", request->parameter);
    snprintf(work->path, sizeof work->path, "%s", path);
    computation_init(&work->computation, server, request, "application/json");
    work->computation.work = run;
    work->computation.release = dataset_work_release;
    computation_start(&work->computation, lane);
}

/* ---- PUT ---- */

static bool upload_write(void *user, const char *bytes, size_t size) {
    struct upload *upload = user;
    for (size_t done = 0; done < size;) {
        ssize_t written = write(upload->descriptor, bytes + done, size - done);
        if (written < 0 && errno != EINTR) {
            http_problem(upload->request, errno == ENOSPC || errno == EDQUOT ? 507 : 500,
                         "the dataset cannot be stored: %s", strerror(errno));
            return false;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return true;
}

void begin_dataset_put(struct server *server, struct request *request) {
    static const struct body_sink sink = {.write = upload_write};
    struct upload *upload = name_is_good(request) ? calloc(1, sizeof *upload) : NULL;
    char directory[4096];
    if (upload == NULL) {
        if (!http_is_answered(request)) {
            http_problem(request, 500, "out of memory");
        }
        return;
    }
    upload->request = request;
    upload->descriptor = -1;
    if (dataset_directory(server->config.data, directory) &&
        snprintf(upload->path, sizeof upload->path, "%s/.upload-XXXXXX", directory) < (int)sizeof upload->path) {
        upload->descriptor = mkostemp(upload->path, O_CLOEXEC);
    }
    if (upload->descriptor < 0) {
        http_problem(request, errno == ENOSPC || errno == EDQUOT ? 507 : 500, "the dataset cannot be stored: %s",
                     strerror(errno));
        free(upload);
        return;
    }
    request->user = upload;
    http_body_sink(request, (uint64_t)server->config.max_dataset, &sink, upload);
}

void dataset_put_abandon(struct request *request) {
    struct upload *upload = request->user;
    if (upload != NULL) {
        close(upload->descriptor);
        unlink(upload->path);
        free(upload);
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
    close(upload->descriptor);
    start_work(server, request, LANE_CHECKS, work_put, upload->path);
    free(upload);
}

/* ---- the others ---- */

void route_dataset_delete(struct server *server, struct request *request) {
    if (name_is_good(request)) {
        start_work(server, request, LANE_CHECKS, work_delete, "");
    }
}

static void work_get(struct computation *computation) {
    struct dataset_work *work = (struct dataset_work *)computation;
    struct dataset_info info;
    char error[DATASET_ERROR_BYTES], path[4096];
    int found = dataset_find(computation->server->config.data, work->name, &info, path, error);
    if (found == 1) {
        write_info(work, &info);
    } else if (found < 0) {
        computation_fail(computation, 500, "%s", error);
    } else {
        computation_fail(computation, 404, "there is no dataset \"%s\"", work->name);
    }
}

void route_dataset(struct server *server, struct request *request) {
    struct dataset_info info;
    char error[DATASET_ERROR_BYTES], path[4096];
    if (!name_is_good(request)) {
        return;
    }
    if (strcmp(request->type, "application/json") == 0) {
        start_work(server, request, LANE_READS, work_get, "");
        return;
    }
    int found = dataset_find(server->config.data, request->parameter, &info, path, error);
    int descriptor = found == 1 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0) {
        http_problem(request, found < 0 ? 500 : 404, "there is no dataset \"%s\"", request->parameter);
    } else {
        http_reply_file(request, 200, "application/octet-stream", descriptor, (uint64_t)info.bytes);
    }
}

static void list_dataset(void *user, const struct dataset_info *info) {
    json_array_append_new(user, info_document(info));
}

static void work_list(struct computation *computation) {
    json_t *list = json_array();
    int count = dataset_list(computation->server->config.data, list_dataset, list);
    json_t *document = json_pack("{s:o}", "datasets", list);
    char *text = json_text(document, NULL);
    if (count < 0 || text == NULL) {
        computation_fail(computation, 500, "the datasets cannot be read");
    } else {
        writer_text(&computation->writer, text);
    }
    free(text);
    json_decref(document);
}

void route_datasets(struct server *server, struct request *request) {
    start_work(server, request, LANE_READS, work_list, "");
}
