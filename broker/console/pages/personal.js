// Personal values beside an entry, each held against the digest that stands in it (RFC 9901 4.2.1).

function base64url(bytes) {
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// The member at a path whose names are joined by dots, and may have some: [name, value], or nothing.
function find(object, path) {
    if (object === null || typeof object !== "object") return undefined;
    for (const [name, value] of Object.entries(object)) {
        if (name === path) return [name, value];
        const found = path.startsWith(`${name}.`) ? find(value, path.slice(name.length + 1)) : undefined;
        if (found) return found;
    }
    return undefined;
}

async function digestOf(salt, name, value) {
    const encode = (text) => new TextEncoder().encode(text);
    const disclosure = base64url(encode(JSON.stringify([salt, name, value])));

    return `sd:${base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", encode(disclosure))))}`;
}

// Rows of { path, value, holds } of what came beside an entry.
export async function openPersonal(data, personal) {
    return Promise.all(Object.entries(personal ?? {}).slice(0, 500).map(async ([path, opened]) => {
        const found = find(data, path);
        const holds = found !== undefined && typeof opened?.salt === "string" && found[1] === await digestOf(opened.salt, found[0], opened.value);

        return { path, value: opened?.value, holds };
    }));
}
