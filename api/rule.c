/* Rules from JSON and back: see rule.h. */
#include "api/rule.h"

#include <stdio.h>
#include <string.h>

#include "api/numbers.h"
#include "core/base/options.h"
#include "core/rules/rules.h"

bool variant_decode(const json_t *object, const struct variant *variants, int count, int fallback,
                    const struct path *path, int *type, struct problems *problems) {
    const json_t *value = json_object_get(object, "type");
    const char *name = json_string_value(value);
    char list[256] = "", got[80];
    *type = fallback;
    if (value == NULL && fallback >= 0) {
        return true;
    }
    for (int i = 0; i < count; i++) {
        if (name != NULL && strcmp(name, variants[i].name) == 0) {
            *type = i;
            return true;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s\"%s\"", i == 0 ? "" : ", ", variants[i].name);
    }
    const char *nearest = name == NULL ? NULL : name_nearest_in(name, variants, sizeof *variants, (size_t)count);
    if (value == NULL) {
        problems_add(problems, path, "type", "is required: one of %s", list);
    } else if (nearest != NULL) {
        problems_add(problems, path, "type", "must be one of %s; got %s: did you mean \"%s\"?", list,
                     value_quote(value, got), nearest);
    } else {
        problems_add(problems, path, "type", "must be one of %s; got %s", list, value_quote(value, got));
    }
    return false;
}

void rule_decode_by(struct rule_config *rule, struct decoding decoding, const json_t *document, const struct path *path,
                    struct problems *problems) {
    char name[32];
    int type;
    if (document != NULL && !json_is_object(document)) {
        char got[80];
        problems_add(problems, path, NULL, "must be an object; got %s", value_quote(document, got));
        return;
    }
    if (!variant_decode(document, rule_variants(), RULE_TYPES, RULE_DEFAULT, path, &type, problems)) {
        return;
    }
    rule->type = (enum rule_type)type;
    snprintf(name, sizeof name, "rule %s", rule_variants()[type].name);
    decoding.variant = 1u << type;
    decoding.variant_name = name;
    decoding.skip = "type";
    fields_decode(&decoding, document, path, rule, problems);
}

void neuron_defaults_set(struct decoding *decoding, const char *name, enum neuron neuron) {
    decoding->section = name;
    decoding->strict = neuron_defaults(&decoding->strict_count);
    decoding->strict_variant = 1u << neuron;
}

void rule_decode(struct rule_config *rule, const json_t *document, enum neuron neuron, const struct path *path,
                 struct problems *problems) {
    struct decoding decoding = {.fields = rule_fields()};
    neuron_defaults_set(&decoding, "rule", neuron);
    rule_decode_by(rule, decoding, document, path, problems);
}

void rule_release(struct rule_config *rule) {
    fields_release(rule_fields(), 1u << rule->type, rule);
    numbers_release(&rule->mu_of);
}

json_t *rule_encode(const struct rule_config *rule) {
    json_t *document = json_pack("{s:s}", "type", rule_variants()[rule->type].name);
    if (!fields_encode(rule_fields(), 1u << rule->type, rule, document)) {
        json_decref(document);
        return NULL;
    }
    return document;
}

const char *rule_type_name(enum rule_type type) {
    return rule_variants()[type].name;
}

bool rule_type_find(const char *name, enum rule_type *type) {
    for (int i = 0; i < RULE_TYPES; i++) {
        if (strcmp(name, rule_variants()[i].name) == 0) {
            *type = (enum rule_type)i;
            return true;
        }
    }
    return false;
}
