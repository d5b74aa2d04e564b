// Reads {secret, public_key, requests: [{headers, body}]} and says of each request by which signatures it is known.
"use strict";
const crypto = require("node:crypto");
const { Webhook } = require("standardwebhooks");

// the head of an Ed25519 public key in DER (RFC 8410, 4), which node:crypto reads
const ED25519 = Buffer.from("302a300506032b6570032100", "hex");

function symmetric(secret, { headers, body }) {
  try {
    return new Webhook(secret).verify(body, headers);
  } catch (error) {
    return String(error.message);
  }
}

function asymmetric(publicKey, { headers, body }) {
  const raw = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64");
  const key = crypto.createPublicKey({ key: Buffer.concat([ED25519, raw]), format: "der", type: "spki" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  return headers["webhook-signature"]
    .split(" ")
    .filter((each) => each.startsWith("v1a,"))
    .some((each) => crypto.verify(null, signed, key, Buffer.from(each.slice("v1a,".length), "base64")));
}

const { secret, public_key, requests } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const found = requests.map((each) => ({ v1: symmetric(secret, each), v1a: asymmetric(public_key, each) }));
process.stdout.write(JSON.stringify(found));
