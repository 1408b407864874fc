/*
 * Checks of every point of a design: the faults of its job, and what all trials cost. See experiments.h. Any thread.
 */
#include <stdio.h>
#include <string.h>

#include "server/experiments/experiments.h"

/* The faults of one point, reported once however many points have them. */
static void faults_take(json_t *seen, const json_t *errors, const char *point) {
    size_t index;
    json_t *error;
    json_array_foreach((json_t *)(uintptr_t)errors, index, error) {
        char key[1200];
        snprintf(key, sizeof key, "%s\n%s", json_string_value(json_object_get(error, "pointer")),
                 json_string_value(json_object_get(error, "detail")));
        json_t *entry = json_object_get(seen, key);
        if (entry == NULL && json_object_size(seen) < PROBLEMS_MAX) {
            json_object_set_new(seen, key, json_pack("{s:s, s:i, s:O}", "point", point, "count", 1, "error", error));
        } else if (entry != NULL) {
            json_object_set_new(entry, "count", json_integer(json_integer_value(json_object_get(entry, "count")) + 1));
        }
    }
}

/* A fault of every point belongs to the base; a fault of some points is reported at the first of them. */
static void faults_tell(json_t *seen, size_t points, struct problems *problems) {
    const char *key;
    json_t *entry;
    json_object_foreach(seen, key, entry) {
        const json_t *error = json_object_get(entry, "error");
        const char *pointer = json_string_value(json_object_get(error, "pointer")),
                   *detail = json_string_value(json_object_get(error, "detail")),
                   *point = json_string_value(json_object_get(entry, "point"));
        int count = (int)json_integer_value(json_object_get(entry, "count"));
        if (problems->errors == NULL) {
            problems->errors = json_array();
        }
        problems->count++;
        bool all = (size_t)count == points;
        json_array_append_new(
            problems->errors,
            json_pack("{s:o, s:o}", "pointer",
                      all ? json_sprintf("/base%s", pointer) : json_sprintf("/points/%s%s", point, pointer), "detail",
                      all || count == 1 ? json_string(detail) : json_sprintf("%s (so do %d points)", detail, count)));
    }
}

static void costs_add(struct experiment_costs *costs, const struct admission *admission, size_t seeds) {
    const struct train_estimate *estimate = &admission->estimate;
    double memory = (double)estimate->memory_bytes + (double)admission->data_bytes;
    costs->multiply_adds += (double)seeds * (estimate->training_multiply_adds + estimate->evaluation_multiply_adds);
    costs->bytes += (double)seeds * jobs_bytes_most(&admission->spec.config, estimate);
    costs->memory = memory > costs->memory ? memory : costs->memory;
}

void experiment_check(const struct design *design, const struct admission_limits *limits, struct store_reader *reader,
                      bool (*stopped)(void *user), void *user, struct problems *problems,
                      struct experiment_costs *costs) {
    json_t *seen = json_object();
    bool short_of_memory = seen == NULL;
    for (size_t point = 0; point < design->points && !short_of_memory && !stopped(user); point++) {
        char name[STORE_POINT_BYTES];
        struct problems own = {0};
        struct admission admission = {.limits = limits, .problems = &own};
        json_t *job = design_job(design, point, design->seeds[0]);
        short_of_memory = job == NULL;
        if (job != NULL) {
            admission_check(&admission, reader, job, false);
            short_of_memory = admission.short_of_memory;
        }
        design_name(design, point, name);
        faults_take(seen, own.errors, name);
        if (own.count == 0 && !short_of_memory) {
            costs_add(costs, &admission, design->seed_count);
        }
        admission_release(&admission);
        problems_release(&own);
        json_decref(job);
    }
    faults_tell(seen, design->points, problems);
    json_decref(seen);
    if (short_of_memory) {
        problems_add(problems, NULL, NULL, "not enough memory to check it now; try again");
    }
}
