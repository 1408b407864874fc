/*
 * Identities of jobs (api/identity.h): frozen for the documents of tests/golden/identities.json, which version 0.1
 * stored, and computed there by another program; every parameter that can change a result changes them, no other does;
 * a row or a default that is added later changes none.
 *
 * The rows are those of the tables themselves, so a new parameter is tested automatically. A row whose values no rule
 * can vary (FIELD_NAME and later types) gives another value in `customs`.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/identity.h"
#include "api/job.h"
#include "api/parameters.h"
#include "core/model/neuron.h"
#include "tests/unit/suite.h"

#define SHA_A "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
#define SHA_B "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\""

struct identities {
    uint8_t course[IDENTITY_BYTES], result[IDENTITY_BYTES];
};

static struct identities identities_of(const json_t *document) {
    struct identities found;
    struct job_spec spec;
    char *text = json_dumps(document, JSON_COMPACT);
    ck_assert_msg(job_spec_parse(&spec, text), "%s", text);
    memcpy(found.course, spec.config.identity, IDENTITY_BYTES);
    ck_assert(job_spec_identity(&spec, REACH_RESULT, found.result));
    job_spec_release(&spec);
    free(text);
    return found;
}

static struct identities identities_of_text(const char *text) {
    json_t *document = json_loads(text, 0, NULL);
    ck_assert_msg(document != NULL, "%s", text);
    struct identities found = identities_of(document);
    json_decref(document);
    return found;
}

static bool same(const uint8_t *a, const uint8_t *b) {
    return memcmp(a, b, IDENTITY_BYTES) == 0;
}

/* ---- each row ---- */

/* Values that differ from those of `bases`. */
static const struct {
    const char *section, *name, *value;
} customs[] = {
    {"task", "name", "\"other\""},
    {"task", "sha256", SHA_B},
    {"network", "tau", "50"},
    {"network", "tau_adaptation", "50"},
    {"network", "tau_adaptation", "{\"low\": 3, \"high\": 9}"},
    {"network", "tau", "{\"low\": 3, \"high\": 9}"},
    {"network", "tau", "[1, 2, 3, 4, 5, 6]"},
    {"network", "initial",
     "{\"W\": [[0,1,1,1,1,1],[1,0,1,1,1,1],[1,1,0,1,1,1],[1,1,1,0,1,1],[1,1,1,1,0,1],[1,1,1,1,1,0]], "
     "\"Win\": [[1,2,3,4,5,6]], \"Wout\": [[1],[2],[3],[4],[5],[6]], \"bout\": [0]}"},
    {"network", "types", "\"shuffled\""},
    {"network", "types", "[0, 1, 0, 2, 1, 0]"},
    {"rule", "mu", "0.5"},
    {"rule", "mu", "[0.5, 0.1]"},
    {"rule", "taps", "[[[0.1, 0.2], [0, 0]], [[0, 0], [0.3, 0]]]"},
    {"rule", "kernel", "[[0.5]]"},
    {"rule", "modulation", "[[0.1, 0.2], [0.3, 0.4]]"},
    {"rule", "mu", "\"auto\""},
    {"optimizer", "decay", "null"},
    {"optimizer", "decay", "{\"factor\": 0.8, \"every\": 299}"},
    {"training", "stop_when", "{\"metric\": \"loss\", \"below\": 0.1}"},
    {"training", "diagnostics", "true"},
    {"training", "evaluation", "{\"trials\": 3}"},
};

/*
 * A whole document, all defaults filled in. Everything in it has an effect: type weights, adaptive feedback, and no
 * Deep R, which would need Dale's law.
 */
static json_t *base(int task, int rule, int optimizer) {
    json_t *document = json_pack("{s:{s:s}, s:{s:i, s:s}, s:{s:s, s:s}, s:{s:s}, s:{}}", "task", "type",
                                 task_variants()[task].name, "network", "units", 6, "rewiring", "none", "rule", "type",
                                 rule_variants()[rule].name, "feedback", "adaptive", "optimizer", "type",
                                 optimizer_variants[optimizer].name, "training");
    if (rule == RULE_MODPROP || rule == RULE_MDGL) {
        json_object_set_new(json_object_get(document, "rule"), "weights", json_string("type"));
    }
    if (rule == RULE_FILTER) {
        json_object_set_new(json_object_get(document, "rule"), "taps",
                            json_loads("[[[0.1], [0]], [[0], [0]]]", 0, NULL));
    }
    if (task == TASK_DATASET) {
        json_object_set_new(json_object_get(document, "task"), "name", json_string("mine"));
    }
    struct job_spec spec;
    char *text = json_dumps(document, 0);
    ck_assert_msg(job_spec_parse(&spec, text), "%s", text);
    json_decref(document);
    document = job_spec_encode(&spec, true);
    job_spec_release(&spec);
    free(text);
    return document;
}

static void check_change(const json_t *before, const char *section, const struct field *field, json_t *value) {
    json_t *after = json_deep_copy(before);
    json_t *object = section == NULL ? after : json_object_get(after, section);
    json_object_set_new(object, field->name, value);
    const struct identities a = identities_of(before), b = identities_of(after);
    char *text = json_dumps(after, 0);
    ck_assert_msg(same(a.course, b.course) == (field->reach > REACH_COURSE), "%s in %s", field->name, text);
    ck_assert_msg(same(a.result, b.result) == (field->reach > REACH_RESULT), "%s in %s", field->name, text);
    free(text);
    json_decref(after);
}

/* A value that differs from the document's, or the one that the tables give. */
static json_t *other_value(const struct field *field, const json_t *now) {
    if (now == NULL && field->type == FIELD_CHOICE) { /* left out, where it is the first */
        return json_string(field->choices[1]);
    }
    switch (field->type) {
    case FIELD_BOOLEAN:
        return json_boolean(!json_is_true(now));
    case FIELD_CHOICE:
        return json_string(field->choices[strcmp(field->choices[0], json_string_value(now)) == 0]);
    case FIELD_NUMBER:
    case FIELD_NUMBER_OR_NULL:
        return json_real(json_number_value(now) == field->high ? field->high / 2
                                                               : (json_number_value(now) + field->high) / 2);
    default:
        return json_integer(json_integer_value(now) < (json_int_t)field->low     ? (json_int_t)field->low
                            : json_integer_value(now) == (json_int_t)field->high ? (json_int_t)field->low
                                                                                 : json_integer_value(now) + 1);
    }
}

static void check_custom(const json_t *document, const char *section, const struct field *field) {
    int found = 0;
    for (size_t i = 0; i < sizeof customs / sizeof *customs; i++) {
        if (strcmp(customs[i].section, section) == 0 && strcmp(customs[i].name, field->name) == 0) {
            check_change(document, section, field, json_loads(customs[i].value, JSON_DECODE_ANY, NULL));
            found++;
        }
    }
    ck_assert_msg(found > 0, "say another value of %s.%s in `customs`", section, field->name);
}

static void check_fields(const json_t *document, const char *section, const struct fields *fields, unsigned variant) {
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        ck_assert_msg((field->identity == NULL) == (field->reach == REACH_NOTHING), "%s: identity or REACH_NOTHING",
                      field->name);
        /* another model has other fields: each_variant_has_an_identity_of_its_own */
        if (!field_applies(field, variant) || strcmp(field->name, "model") == 0) {
            continue;
        }
        if (field->type >= FIELD_NAME) {
            check_custom(document, section, field);
        } else {
            const json_t *object = section == NULL ? document : json_object_get(document, section);
            check_change(document, section, field, other_value(field, json_object_get(object, field->name)));
        }
    }
}

/* A job whose rule every model has, with all defaults filled in. */
static json_t *of_neuron(enum neuron neuron) {
    char text[256];
    snprintf(text, sizeof text,
             "{\"task\": {\"type\": \"delayed_xor\"}, \"rule\": {\"type\": \"bptt\"}, \"network\": {\"units\": 6, "
             "\"rewiring\": \"none\", \"model\": \"%s\"}}",
             neuron_table[neuron]->name);
    struct job_spec spec;
    ck_assert_msg(job_spec_parse(&spec, text), "%s", text);
    json_t *document = job_spec_encode(&spec, true);
    job_spec_release(&spec);
    return document;
}

START_TEST(each_parameter_that_reaches_a_result_changes_the_identity) {
    for (int i = 0; i < TASK_TYPES; i++) {
        json_t *document = base(i, RULE_EPROP, OPTIMIZER_ADAM);
        check_fields(document, "task", task_fields(), 1u << i);
        check_fields(document, "network", network_fields(), 1u << NEURON_MEMBRANE);
        check_fields(document, "training", &training_fields, ~0u);
        check_fields(document, NULL, &top_fields, ~0u);
        json_decref(document);
    }
    for (int i = 0; i < NEURON_MODELS; i++) {
        json_t *document = of_neuron((enum neuron)i);
        check_fields(document, "network", network_fields(), 1u << i);
        json_decref(document);
    }
    for (int i = 0; i < RULE_TYPES; i++) {
        json_t *document = base(TASK_DELAYED_XOR, i, i % 2);
        check_fields(document, "rule", rule_fields(), 1u << i);
        check_fields(document, "optimizer", &optimizer_fields, 1u << (i % 2));
        json_decref(document);
    }
}
END_TEST

START_TEST(each_variant_has_an_identity_of_its_own) {
    const int variants = TASK_TYPES + RULE_TYPES + 1, count = variants + NEURON_MODELS;
    struct identities seen[TASK_TYPES + RULE_TYPES + 1 + NEURON_MODELS];
    for (int i = 0; i < NEURON_MODELS; i++) {
        json_t *document = of_neuron((enum neuron)i);
        seen[variants + i] = identities_of(document);
        json_decref(document);
    }
    for (int i = 0; i < variants; i++) {
        json_t *document = base(i < TASK_TYPES ? i : TASK_DELAYED_XOR,
                                i >= TASK_TYPES && i < variants - 1 ? i - TASK_TYPES : RULE_BPTT, i == variants - 1);
        seen[i] = identities_of(document);
        json_decref(document);
    }
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            bool twin = j == TASK_DELAYED_XOR && i == TASK_TYPES + RULE_BPTT;
            ck_assert_msg(same(seen[i].course, seen[j].course) == twin, "%d and %d", i, j);
        }
    }
}
END_TEST

START_TEST(words_do_not_enter) {
    const struct identities a = identities_of_text("{\"task\": {\"type\": \"pattern\"}}"),
                            b = identities_of_text("{\"task\": {\"type\": \"pattern\"}, \"name\": \"me\", "
                                                   "\"metadata\": {\"a\": 1}, \"network\": {\"connectivity\": 1}}");
    ck_assert(same(a.course, b.course) && same(a.result, b.result));
}
END_TEST

START_TEST(the_digest_of_data_stands_for_their_name) {
    const struct identities a = identities_of_text(
                                "{\"task\": {\"type\": \"dataset\", \"name\": \"a\", \"sha256\": " SHA_A "}}"),
                            b = identities_of_text(
                                "{\"task\": {\"type\": \"dataset\", \"name\": \"b\", \"sha256\": " SHA_A "}}"),
                            c = identities_of_text(
                                "{\"task\": {\"type\": \"dataset\", \"name\": \"a\", \"sha256\": " SHA_B "}}");
    ck_assert(same(a.course, b.course) && !same(a.course, c.course));
}
END_TEST

START_TEST(a_row_that_is_added_changes_no_identity) {
    struct numbers {
        int a;
        double b, c;
    } numbers = {3, 0.5, 9};
    const struct field rows[] = {
        {.name = "c", .type = FIELD_NUMBER, .offset = offsetof(struct numbers, c), .identity = "9"},
        {.name = "a", .type = FIELD_INT, .offset = offsetof(struct numbers, a), .identity = "1"},
        {.name = "b", .type = FIELD_NUMBER, .offset = offsetof(struct numbers, b), .identity = "0"},
    };
    const struct field before[] = {rows[2], rows[1]};
    uint8_t old[IDENTITY_BYTES], new[IDENTITY_BYTES], other[IDENTITY_BYTES];
    json_t *pairs[3] = {json_object(), json_object(), json_object()};
    ck_assert(identity_add(pairs[0], "x", &(struct fields){before, 2}, ~0u, REACH_COURSE, &numbers));
    ck_assert(identity_add(pairs[1], "x", &(struct fields){rows, 3}, ~0u, REACH_COURSE, &numbers));
    numbers.c = 8;
    ck_assert(identity_add(pairs[2], "x", &(struct fields){rows, 3}, ~0u, REACH_COURSE, &numbers));
    ck_assert(identity_hash(pairs[0], old) && identity_hash(pairs[1], new) && identity_hash(pairs[2], other));
    ck_assert(same(old, new) && !same(old, other));
    for (int i = 0; i < 3; i++) {
        json_decref(pairs[i]);
    }
}
END_TEST

START_TEST(identities_are_frozen) {
    json_t *golden = json_load_file(MODPROP_GOLDEN_IDENTITIES, 0, NULL), *one;
    size_t i;
    ck_assert_uint_gt(json_array_size(golden), 20);
    json_array_foreach(golden, i, one) {
        const struct identities found = identities_of(json_object_get(one, "document"));
        char text[2 * IDENTITY_BYTES + 1];
        for (size_t k = 0; k < IDENTITY_BYTES; k++) {
            snprintf(text + 2 * k, 3, "%02x", found.course[k]);
        }
        ck_assert_str_eq(text, json_string_value(json_object_get(one, "course")));
    }
    json_decref(golden);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("identity");
    TCase *all = tcase_create("all");
    tcase_add_test(all, each_parameter_that_reaches_a_result_changes_the_identity);
    tcase_add_test(all, each_variant_has_an_identity_of_its_own);
    tcase_add_test(all, words_do_not_enter);
    tcase_add_test(all, the_digest_of_data_stands_for_their_name);
    tcase_add_test(all, a_row_that_is_added_changes_no_identity);
    tcase_add_test(all, identities_are_frozen);
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
