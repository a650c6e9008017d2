// What the engine has beside the language: `console` and `tools`. Evaluates to a function that is given how to print and
// how to call, and returns how a value is shown.
(function (print, send) {
    "use strict";
    const MAX_ENTRIES = 100;
    const MAX_DEPTH = 5;

    function entries(list, depth, seen, one) {
        const shown = list.slice(0, MAX_ENTRIES).map(one);
        if (list.length > MAX_ENTRIES) shown.push(`… ${list.length - MAX_ENTRIES} more`);
        return shown.join(", ");
    }

    function inner(value, depth, seen) {
        switch (typeof value) {
            case "string": return JSON.stringify(value);
            case "bigint": return `${value}n`;
            case "function": return `[function ${value.name || "(anonymous)"}]`;
            case "object": break;
            default: return String(value);
        }
        if (value === null) return "null";
        if (value instanceof Error) return `${value.name}: ${value.message}\n${value.stack ?? ""}`.trimEnd();
        if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString();
        if (value instanceof RegExp) return String(value);
        if (value instanceof Promise) return "[promise]";
        if (seen.includes(value)) return "[circular]";
        const name = value.constructor?.name ?? "";
        if (depth >= MAX_DEPTH) return Array.isArray(value) ? "[…]" : `${name === "Object" ? "" : name}{…}`;
        const below = [...seen, value];
        const deeper = (held) => inner(held, depth + 1, below);
        if (Array.isArray(value)) return `[${entries(value, depth, seen, deeper)}]`;
        if (ArrayBuffer.isView(value) && "length" in value) {
            return `${name} [${entries(Array.from(value.subarray(0, MAX_ENTRIES)), depth, seen, String)}${value.length > MAX_ENTRIES ? ", …" : ""}]`;
        }
        if (value instanceof Set) return `Set {${entries([...value], depth, seen, deeper)}}`;
        const pair = ([key, held]) => `${deeper(key)} => ${deeper(held)}`;
        if (value instanceof Map) return `Map {${entries([...value], depth, seen, pair)}}`;
        const field = (key) => `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)}: ${deeper(value[key])}`;
        const fields = entries(Object.keys(value), depth, seen, field);
        return `${name === "Object" || name === "" ? "" : `${name} `}{${fields ? ` ${fields} ` : ""}}`;
    }

    function show(value) {
        try {
            return typeof value === "string" ? value : inner(value, 0, []);
        } catch {
            return "[can't be shown]";
        }
    }

    const log = (...values) => print(`${values.map(show).join(" ")}\n`);
    globalThis.console = { log, info: log, warn: log, error: log, debug: log };

    const call = (name, given) => send(String(name), JSON.stringify(given ?? {}) ?? "{}");
    globalThis.tools = new Proxy({ call }, {
        get(own, name) {
            // What has a `then` would be taken for a promise.
            if (name === "call" || typeof name === "symbol" || name === "then") return own[name];
            return (given) => call(name, given);
        },
    });
    return show;
})
