/* Keeping what trials have found: see archive.h. */
#include "server/experiments/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "server/base/log.h"
#include "server/experiments/curves.h"
#include "server/experiments/design.h"

#define ROUND_JOBS 32
#define TABLE_BYTES ((size_t)256 << 20) /* of a longer one only loss and accuracy are kept */
#define CURVES_LEAST 2

struct archive_round {
    struct lane_task task; /* first */
    struct archive *archive;
    size_t count, waiting;
    bool failed;
    char jobs[ROUND_JOBS][STORE_ID_BYTES];
    struct store_finding findings[ROUND_JOBS];
};

static struct store_reader *round_reader(const struct archive_round *round) {
    return round->archive->lane_readers[round->task.seat];
}

/* ---- in the lane ---- */

static bool take_job(void *user, const char *job, int64_t number) {
    struct archive_round *round = user;
    (void)number;
    snprintf(round->jobs[round->count++], STORE_ID_BYTES, "%s", job);
    return round->count < ROUND_JOBS;
}

/* Whether the experiment that made the job keeps no weights. Experiments that link it have found it with its own. */
static bool weights_go(struct store_reader *reader, const struct store_job *job) {
    struct store_experiment row;
    bool go = false;
    if (job->point[0] == '\0' || store_experiment_read(reader, job->experiment, &row) != 1) {
        return false;
    }
    json_t *document = json_loads(row.document, 0, NULL);
    const char *weights = json_string_value(json_object_get(json_object_get(document, "keep"), "weights"));
    go = weights != NULL && strcmp(weights, "none") == 0;
    json_decref(document);
    store_experiment_release(&row);
    return go;
}

static bool table_make(struct archive_round *round, const char *job, struct store_finding *finding) {
    struct curves curves = {0};
    curves_want_all(&curves);
    bool read = curves_read(&curves, round_reader(round), job, lane_is_stopped, round);
    if (read && curves.length * (curves.count + 1) * sizeof(double) > TABLE_BYTES) {
        curves.count = CURVES_LEAST;
    }
    finding->curves = read ? curves_encode(&curves, &finding->size) : NULL;
    for (size_t i = curves.count; i < CURVES_MAX; i++) { /* what was left out is freed too */
        free(curves.values[i]);
        curves.values[i] = NULL;
    }
    curves_release(&curves);
    return finding->curves != NULL;
}

static bool finding_make(struct archive_round *round, const char *id, struct store_finding *finding) {
    struct store_job job;
    int found = store_job_read(round_reader(round), id, &job);
    snprintf(finding->job, sizeof finding->job, "%s", id);
    if (found != 1) {
        return false;
    }
    finding->status = job.status;
    finding->iteration = job.iteration;
    finding->diverged = job_diverged(&job);
    finding->dropped = weights_go(round_reader(round), &job);
    store_job_release(&job);
    if (!table_make(round, id, finding)) {
        return false;
    }
    sha256_hex(finding->curves, finding->size, finding->sha256);
    return true;
}

static void round_run(struct lane_task *task) {
    struct archive_round *round = (struct archive_round *)task;
    round->failed = store_endings_read(round_reader(round), ROUND_JOBS, take_job, round) < 0;
    for (size_t i = 0; i < round->count && !lane_is_stopped(task); i++) { /* one that is damaged stops no other */
        round->failed = !finding_make(round, round->jobs[i], &round->findings[i]) || round->failed;
    }
}

/* ---- on the loop ---- */

static void round_count(struct archive_round *round) {
    struct archive *archive = round->archive;
    if (--round->waiting > 0) {
        return;
    }
    archive->round = NULL;
    archive->due = archive->due || (round->count == ROUND_JOBS && !round->failed);
    archive->settled = round->count == 0 && !round->failed;
    for (size_t i = 0; i < round->count; i++) {
        free(round->findings[i].curves);
    }
    free(round);
    if (archive->due) {
        archive_kick(archive);
    }
}

static void on_kept(struct store_unit *unit) {
    struct archive_round *round = unit->user;
    round->failed = round->failed || unit->result != STORE_WRITTEN;
    if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(round->archive->jobs, unit);
    }
    round_count(round);
}

static void finding_keep(struct archive_round *round, struct store_finding *finding) {
    struct store_unit *unit = store_unit_create(on_kept, round);
    struct store_item *item = unit == NULL ? NULL : store_unit_add(unit, STORE_FINDING_ADD);
    if (item == NULL) {
        store_unit_free(unit);
        round->failed = true;
        return;
    }
    item->finding = *finding;
    finding->curves = NULL;
    round->waiting++;
    store_submit(round->archive->store, unit);
}

static void round_finish(struct lane_task *task) {
    struct archive_round *round = (struct archive_round *)task;
    round->waiting = 1;
    round->failed = round->failed || task->outcome != LANE_GO;
    for (size_t i = 0; i < round->count && task->outcome == LANE_GO; i++) {
        if (round->findings[i].curves != NULL) {
            finding_keep(round, &round->findings[i]);
        }
    }
    round_count(round);
}

void archive_kick(struct archive *archive) {
    archive->due = true;
    if (archive->draining || archive->round != NULL) {
        return;
    }
    struct archive_round *round = calloc(1, sizeof *round);
    if (round == NULL) {
        return; /* the next second tries again */
    }
    round->task = (struct lane_task){.run = round_run, .finish = round_finish};
    round->archive = archive;
    archive->due = false;
    if (!lanes_submit(archive->lanes, LANE_CHECKS, "", "archive", &round->task)) {
        free(round);
        return;
    }
    archive->round = round;
}

void archive_tick(struct archive *archive) {
    if (!archive->settled) {
        archive_kick(archive);
    }
}
