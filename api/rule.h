/*
 * A rule's object in a document, by the parameter tables: from JSON and back, and what the sections of a job share with
 * it (an object that has a type, the defaults of a neuron model).
 */
#ifndef MODPROP_API_RULE_H
#define MODPROP_API_RULE_H

#include "api/parameters.h"

/* The variant that an object's "type" names; `fallback` if it is absent. False, with a fault, if it is unknown. */
bool variant_decode(const json_t *object, const struct variant *variants, int count, int fallback,
                    const struct path *path, int *type, struct problems *problems);
/* Their JSON Schema: one per variant, selected by type. */
json_t *variants_schema(const struct fields *fields, const struct variant *variants, int count, bool type_required);
/* The defaults of a section that the neuron model gives. */
void neuron_defaults_set(struct decoding *decoding, const char *section, enum neuron neuron);

/* One rule object at `path` (for gradients), with the defaults of the neuron model. */
void rule_decode(struct rule_config *rule, const json_t *document, enum neuron neuron, const struct path *path,
                 struct problems *problems);
/* The same with the defaults that `decoding` has. */
void rule_decode_by(struct rule_config *rule, struct decoding decoding, const json_t *document, const struct path *path,
                    struct problems *problems);
/* Frees the lists that it holds; for a rule that rule_decode filled, also where it found faults. */
void rule_release(struct rule_config *rule);
json_t *rule_encode(const struct rule_config *rule);

const char *rule_type_name(enum rule_type type);
bool rule_type_find(const char *name, enum rule_type *type);

#endif
