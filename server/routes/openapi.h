/*
 * The OpenAPI 3.1 document, made from the route table (routes.c), the parameter tables (api/parameters.c) and one line
 * a route here that says what no table knows. A test holds the document and the table against each other.
 */
#ifndef MODPROP_SERVER_OPENAPI_H
#define MODPROP_SERVER_OPENAPI_H

#include <jansson.h>

/* NULL without memory. */
json_t *openapi_document(void);

#endif
