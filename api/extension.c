/*
 * Jobs made from jobs: what a client may change of one that it extends, and what the new job's document says of it.
 * Declared in job.h. Pure functions of documents; which checkpoint is taken and what else is copied is
 * server/jobs/repetition.c.
 */
#include <string.h>

#include "api/job.h"
#include "api/parameters.h"

bool job_spec_origin_set(struct job_spec *spec, const char *kind, const char *job, int64_t iteration,
                         const char *weights_sha256) {
    json_decref(spec->origin);
    spec->origin = weights_sha256 == NULL ? json_pack("{s:s, s:s}", "kind", kind, "job", job)
                                          : json_pack("{s:s, s:s, s:I, s:s}", "kind", kind, "job", job, "iteration",
                                                      (json_int_t)iteration, "weights_sha256", weights_sha256);
    return spec->origin != NULL;
}

void job_spec_extend(struct job_spec *spec, const json_t *body, struct problems *problems) {
    static const char *const names[] = {"iterations", "stop_when"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value) {
        const struct field *field = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            field = strcmp(name, names[i]) == 0 ? field_find(&training_fields, ANY_VARIANT, name) : field;
        }
        json_t *one = field == NULL ? NULL : json_pack("{s:O}", name, value);
        if (field == NULL) {
            problems_add_unknown(problems, NULL, name, "field", names, sizeof names / sizeof *names);
        } else if (one == NULL) {
            problems_add(problems, NULL, name, "not enough memory to read it");
        } else {
            const struct decoding decoding = {.fields = &(struct fields){field, 1}, .variant = ~0u};
            fields_decode(&decoding, one, NULL, &spec->config.training, problems);
        }
        json_decref(one);
    }
    if (json_object_get(body, "iterations") == NULL) {
        problems_add(problems, NULL, "iterations",
                     "is required: the total number of iterations of the extended job, such as {\"iterations\": 6000}");
    }
}
