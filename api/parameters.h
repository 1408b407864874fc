/*
 * The parameter tables (parameters.c): everything that a job may contain, defined once.
 */
#ifndef MODPROP_API_PARAMETERS_H
#define MODPROP_API_PARAMETERS_H

#include "api/field.h"
#include "core/model/config.h"

/* One variant of an object that has a type. */
struct variant { /* its name comes first, for name_nearest_in */
    const char *name, *doc;
};

/* All tasks, by enum task_type, collected from their files' tables (core/tasks). */
const struct variant *task_variants(void);
const struct fields *task_fields(void);
/* Where a task's defaults differ from the tables'; variants are bits of enum task_type. */
const struct field_default *task_defaults(size_t *count);

/* Of all rules, by enum rule_type: what they share and what each has of its own. */
const struct variant *rule_variants(void);
const struct fields *rule_fields(void);

extern const struct variant optimizer_variants[2];

/*
 * Of all neuron models, by enum neuron: the rows of the network section, and where a model's defaults differ from the
 * tables' and from a task's; variants are bits of enum neuron.
 */
const struct variant *neuron_variants(void);
const struct fields *network_fields(void);
const struct field_default *neuron_defaults(size_t *count);

extern const struct fields optimizer_fields, training_fields;

/*
 * The rules to compare at path/name: 1 to ALIGNED_MOST names or rule objects, with the defaults of the neuron model,
 * into `rules`, which the caller releases (rule_release, the first *count).
 */
void alignment_rules_decode(const json_t *value, enum neuron neuron, const struct path *path, const char *name,
                            struct rule_config *rules, int *count, struct problems *problems);

/* Settings that were measured to work best and that no default can express: returned with the rule or neuron model,
 * never applied automatically. */
struct recommendation {
    unsigned variants;    /* bits of enum rule_type */
    unsigned neurons;     /* bits of enum neuron */
    const char *purpose;  /* what for */
    const char *settings; /* part of a job, as JSON text */
    const char *evidence; /* what was measured, and where the report is */
};

extern const struct recommendation recommendations[];
extern const size_t recommendation_count;

#endif
