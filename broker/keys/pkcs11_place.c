#include <stdlib.h>
#include <string.h>

#include "keys/pkcs11_internal.h"

#define FILE_SCHEME "file:"

/* The attributes of RFC 7512 2.3 that name a token; those of objects and modules do not. */
static bool names_token(P11KitUri *uri)
{
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);

    return token->label[0] != 0 || token->serialNumber[0] != 0 || token->manufacturerID[0] != 0 ||
           token->model[0] != 0 || p11_kit_uri_get_slot_id(uri) != (CK_SLOT_ID)-1;
}

static bool has_object(P11KitUri *uri)
{
    CK_ULONG count = 0;

    (void)p11_kit_uri_get_attributes(uri, &count);
    return count != 0;
}

static bool copy_path(const char *path, char **out, struct error *error)
{
    *out = strdup(path);
    return *out != NULL || error_set(error, ERROR_MEMORY, "a PKCS#11 URI");
}

static bool take_pin_file(P11KitUri *uri, struct pkcs11_place *place, struct error *error)
{
    const char *source = p11_kit_uri_get_pin_source(uri);

    if (p11_kit_uri_get_pin_value(uri) != NULL)
        return error_set(error, ERROR_CONFIG,
                         "a PIN is not written here: pin-source=file:/... names the file with it");
    if (source != NULL && strncmp(source, FILE_SCHEME, sizeof(FILE_SCHEME) - 1) == 0)
        source += sizeof(FILE_SCHEME) - 1;
    if (source != NULL && source[0] == '/' && source[1] == '/' && source[2] == '/')
        source += 2; /* file:///path: no host */
    if (source == NULL || source[0] != '/' || source[1] == '/')
        return error_set(error, ERROR_CONFIG,
                         "expected pin-source=file:/..., the file with the token's PIN");
    return copy_path(source, &place->pin_file, error);
}

static bool take_module(P11KitUri *uri, struct pkcs11_place *place, struct error *error)
{
    const char *path = p11_kit_uri_get_module_path(uri);

    if (path == NULL || path[0] != '/' || p11_kit_uri_get_module_name(uri) != NULL)
        return error_set(error, ERROR_CONFIG,
                         "expected module-path=/..., the shared library of the token's maker");
    return copy_path(path, &place->module, error);
}

static bool check(P11KitUri *uri, struct pkcs11_place *place, struct error *error)
{
    if (!take_pin_file(uri, place, error) || !take_module(uri, place, error))
        return false;
    if (p11_kit_uri_any_unrecognized(uri) || has_object(uri))
        return error_set(error, ERROR_CONFIG,
                         "a part that does not name a token: expected pkcs11:token=LABEL?"
                         "module-path=/...&pin-source=file:/...");
    return names_token(uri) ||
           error_set(error, ERROR_CONFIG, "expected the token, such as pkcs11:token=LABEL");
}

bool pkcs11_place_read(const char *text, struct pkcs11_place *place, struct error *error)
{
    OWNED(pkcs11_place_release) struct pkcs11_place made = { .uri = p11_kit_uri_new() };

    if (made.uri == NULL)
        return error_set(error, ERROR_MEMORY, "a PKCS#11 URI");
    if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, made.uri) != P11_KIT_URI_OK)
        return error_set(error, ERROR_CONFIG,
                         "expected a PKCS#11 URI: pkcs11:token=LABEL?module-path=/...&"
                         "pin-source=file:/...");
    if (!check(made.uri, &made, error))
        return false;
    *place = made;
    made = (struct pkcs11_place){ 0 };
    return true;
}

void pkcs11_place_release(struct pkcs11_place *place)
{
    p11_kit_uri_free(place->uri);
    free(place->module);
    free(place->pin_file);
    *place = (struct pkcs11_place){ 0 };
}

bool pkcs11_check_uri(const char *uri, struct error *error)
{
    OWNED(pkcs11_place_release) struct pkcs11_place place = { 0 };

    return pkcs11_place_read(uri, &place, error);
}
