// Holds messages of the Agent Client Protocol against its published schema: one JSON object a line on standard input,
// `{"byAgent": bool, "message": …}`. Prints a line for each that does not fit. Its argument is the folder that
// has `node_modules`.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const folder = process.argv[2];
const require = createRequire(`${folder}/`);
const Ajv = require("ajv/dist/2020").default;
const path = `${folder}/node_modules/@agentclientprotocol/sdk/schema/v1/schema.json`;
const schema = JSON.parse(readFileSync(path, "utf8"));

// Every definition by the method that it belongs to.
const names = {};
for (const [name, definition] of Object.entries(schema.$defs)) {
  const method = definition["x-method"];
  if (method) {
    const kind = name.endsWith("Response") ? "response" : "request";
    names[`${kind} ${method}`] = name;
  }
}
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: false });
ajv.addSchema(schema, "acp");
const checks = new Map();
const check = (name) => {
  if (!checks.has(name)) checks.set(name, ajv.compile({ $ref: `acp#/$defs/${name}` }));
  return checks.get(name);
};

const asked = new Map();
let count = 0;
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { byAgent, message } = JSON.parse(line);
  const tell = (what) => console.log(`${what}: ${JSON.stringify(message)}`);
  count += 1;
  if (message.jsonrpc !== "2.0") tell("no JSON-RPC 2.0");
  if (message.method !== undefined) {
    if (message.id !== undefined) asked.set(`${byAgent} ${message.id}`, message.method);
    const name = names[`request ${message.method}`];
    if (name === undefined) {
      if (byAgent) tell("a method that is not in the schema");
      continue;
    }
    const validate = check(name);
    if (byAgent && !validate(message.params ?? {})) tell(ajv.errorsText(validate.errors));
  } else if (byAgent && message.error !== undefined) {
    const validate = check("Error");
    if (!validate(message.error)) tell(ajv.errorsText(validate.errors));
  } else if (byAgent) {
    const name = names[`response ${asked.get(`false ${message.id}`)}`];
    if (name === undefined) {
      tell("an answer to nothing");
      continue;
    }
    const validate = check(name);
    if (!validate(message.result)) tell(ajv.errorsText(validate.errors));
  }
}
if (count === 0) console.log("there were no messages");
