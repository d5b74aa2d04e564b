// Takes a registration from applicant to feed with the generated types, and prints the result as JSON.
// URL and each caller's CLIENT_ID and CLIENT_SECRET come from the environment, e.g. OFFICER_CLIENT_ID.
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Check = components["schemas"]["Check"];

const baseUrl = process.env["URL"];
const address = "203.99.50.18";

/** Returns the body of a response; throws on a problem. */
function bodyOf<Body>(answer: { data?: Body; error?: unknown }): Body {
  if (answer.data === undefined) throw new Error(`refused: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

/** Returns a client with an access token. */
async function caller(name: string): Promise<Client<paths>> {
  const client = createClient<paths>({ baseUrl });
  const token = bodyOf(
    await client.POST("/oauth/token", {
      body: {
        grant_type: "client_credentials",
        client_id: process.env[`${name}_CLIENT_ID`],
        client_secret: process.env[`${name}_CLIENT_SECRET`],
      },
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
    }),
  );
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token.access_token}` } });
}

/** Returns the check of the address, once the feed has it. */
async function waitUntilPublished(operator: Client<paths>): Promise<Check> {
  for (const giveUp = Date.now() + 30_000; Date.now() < giveUp; ) {
    const { data } = await operator.GET("/v1/allowlist/check", { params: { query: { address } } });
    if (data?.allowed) return data;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the address was not published");
}

const association = await caller("ASSOCIATION");
const officer = await caller("OFFICER");
const operator = await caller("OPERATOR");

const applicant = bodyOf(
  await association.POST("/v1/applicants", {
    body: { kind: "company", legal_name: "Indus Softworks (Pvt) Ltd", ntn: "7654321-0", email: "it@indus.example.pk" },
  }),
);
const registration = bodyOf(
  await association.POST("/v1/registrations", {
    body: {
      applicant_id: applicant.id,
      track: "vpn_company",
      purpose: "it_services",
      protocol: "wireguard",
      operator: "nayatel",
      networks: ["203.99.50.16/29"],
    },
  }),
);
const params = { path: { registration_id: registration.id } };
const read = await officer.GET("/v1/registrations/{registration_id}", { params });
const decision = bodyOf(
  await officer.POST("/v1/review-decisions", {
    params: { header: { "if-match": read.response.headers.get("etag") ?? "" } },
    body: { registration_id: registration.id, action: "approve" },
  }),
);
const check = await waitUntilPublished(operator);
const history = bodyOf(await association.GET("/v1/registrations/{registration_id}/history", { params }));
console.log(
  JSON.stringify({
    decided: decision.registration_id === registration.id,
    network: check.network,
    status: bodyOf(await association.GET("/v1/registrations/{registration_id}", { params })).status,
    history: history.items.map((event) => event.name),
  }),
);
