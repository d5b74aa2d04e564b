// Start Swagger UI on this service's document, arranged for a reader: the problems of an operation stand in one row for
// 4xx and one for 5xx, with an example for each code. Programs get the document as it is, with each status.
"use strict";

const PROBLEM = "application/problem+json";
const base = location.pathname.replace(/\/docs\/?$/, ""); // "" or the path of PUBLIC_URL
const tokenPath = `${base}/oauth/token`;
let scopes = [];

function arranged(document) {
  document.servers = [{ url: base || "/", description: "This service" }];
  for (const scheme of Object.values(document.components.securitySchemes)) {
    for (const flow of Object.values(scheme.flows ?? {})) {
      flow.tokenUrl = location.origin + tokenPath;
    }
  }
  for (const operation of Object.values(document.paths).flatMap(Object.values)) {
    operation.responses = byRange(operation.responses, document);
  }
  return document;
}

function byRange(responses, document) {
  const rows = {};
  for (const [status, referred] of Object.entries(responses)) {
    const response = resolved(referred, document);
    const content = response.content?.[PROBLEM];
    if (!content) {
      delete response.headers;
      rows[status] = response;
      continue;
    }
    const range = `${status[0]}XX`;
    rows[range] ??= { description: "", content: { [PROBLEM]: { schema: content.schema, examples: {} } } };
    const examples = rows[range].content[PROBLEM].examples;
    for (const [code, example] of Object.entries(content.examples)) {
      examples[code] = { ...resolved(example, document), summary: `${status} ${code}` };
    }
    rows[range].description = described(Object.values(examples));
  }
  return rows;
}

function described(examples) {
  const codes = examples.map((each) => `\`${each.summary}\``).join(", ");
  const places = examples.some((each) => each.value.errors) ? " `errors[]` has every wrong field of a request." : "";
  return `${codes}.${places}`;
}

function resolved(value, document) {
  return value.$ref ? value.$ref.slice(2).split("/").reduce((found, name) => found[name], document) : value;
}

// Every scope is ticked at first, and a client has some of them: without a scope the service grants all it has.
function withoutEveryScope(request) {
  if (request.url.endsWith(tokenPath) && typeof request.body === "string") {
    const form = new URLSearchParams(request.body);
    if (scopes.every((scope) => (form.get("scope") ?? "").split(" ").includes(scope))) {
      form.delete("scope");
      request.body = form.toString();
    }
  }
  return request;
}

// The last field with a focus of its own, HTTP Basic's, would scroll the token's fields away.
const withoutFocus = {
  wrapComponents: {
    Input: (Original, system) => (props) => system.React.createElement(Original, { ...props, autoFocus: false }),
  },
};

async function start() {
  const document = await (await fetch(`${base}/openapi.json`)).json();
  scopes = Object.keys(document.components.securitySchemes.OAuth2.flows.clientCredentials.scopes);
  const ui = SwaggerUIBundle({
    spec: arranged(document),
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    showExtensions: false,
    showCommonExtensions: false,
    requestInterceptor: withoutEveryScope,
    plugins: [withoutFocus],
  });
  ui.initOAuth({ scopes });
}

start();
