// Verify a certificate of a registration: its signature by the register's keys, its time, and its status. The
// certificate is in the fragment of the page's address, which a browser sends nowhere, or in what a person gives.
"use strict";

const CERTIFICATE = "registration-certificate+jwt";
const STATUS_LIST = "statuslist+jwt";
const ED25519 = { kty: "OKP", crv: "Ed25519", members: ["x"], key: { name: "Ed25519" }, sign: { name: "Ed25519" } };
const ES256 = {
  kty: "EC", crv: "P-256", members: ["x", "y"],
  key: { name: "ECDSA", namedCurve: "P-256" }, sign: { name: "ECDSA", hash: "SHA-256" },
};
const ALGORITHMS = { Ed25519: ED25519, EdDSA: ED25519, ES256 };
const COMPACT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/;
const BY_STATUS = { 0: ["valid", "in_force"], 1: ["ended", "ended_early"], 2: ["suspended", "is_suspended"] };

const element = (id) => document.getElementById(id);
const text = (name) => document.querySelector(`[data-text="${name}"]`)?.textContent ?? name;

class Refused extends Error {
  constructor(outcome, reason) {
    super(reason);
    this.outcome = outcome;
  }
}

function bytesOf(encoded) {
  const binary = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (each) => each.charCodeAt(0));
}

function parse(signed, type) {
  const [header, payload, signature] = signed.split(".");
  try {
    const read = (part) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(part)));
    const parts = { header: read(header), claims: read(payload), signature: bytesOf(signature) };
    parts.input = new TextEncoder().encode(`${header}.${payload}`);
    if (parts.header.typ === type && !parts.header.crit && Number.isFinite(parts.claims.exp)) {
      return parts;
    }
  } catch {
    // said below
  }
  throw new Refused("not_valid", "malformed");
}

async function load(path, read) {
  const response = await fetch(path, { cache: "no-cache", credentials: "omit" });
  if (!response.ok) {
    throw new Error(`status ${response.status}`);
  }
  return read(response);
}

async function keyOf({ header }, keys) {
  const algorithm = Object.hasOwn(ALGORITHMS, header.alg) ? ALGORITHMS[header.alg] : null;
  const found = keys.find((each) => each.kid === header.kid);
  if (!found || !algorithm || found.kty !== algorithm.kty || found.crv !== algorithm.crv) {
    throw new Refused("not_valid", "unknown_key");
  }
  const jwk = { kty: found.kty, crv: found.crv };
  algorithm.members.forEach((name) => { jwk[name] = found[name]; });
  try {
    return [algorithm, await crypto.subtle.importKey("jwk", jwk, algorithm.key, false, ["verify"])];
  } catch {
    throw new Refused("unknown", "old_browser");
  }
}

async function verified(signed, type, keys) {
  const parts = parse(signed, type);
  const [algorithm, key] = await keyOf(parts, keys);
  if (!(await crypto.subtle.verify(algorithm.sign, key, parts.signature, parts.input))) {
    throw new Refused("not_valid", "tampered");
  }
  return parts.claims;
}

// One status of a list: `bits` each, from the least significant of every byte, compressed by ZLIB.
async function statusAt({ bits, lst }, index) {
  const stream = new Blob([bytesOf(lst)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const perByte = 8 / bits;
  if (!Number.isSafeInteger(index) || index < 0 || index >= packed.length * perByte) {
    throw new Error("no such index");
  }
  return (packed[Math.floor(index / perByte)] >> ((index % perByte) * bits)) & (2 ** bits - 1);
}

async function statusOf(claims, keys) {
  const now = Date.now() / 1000;
  const { idx, uri } = claims.status.status_list;
  const list = await verified(await load("v1/certificates/status-list", (each) => each.text()), STATUS_LIST, keys);
  if (list.iss !== claims.iss || list.sub !== uri || list.exp <= now) {
    throw new Error("another list, or an old one");
  }
  return { value: await statusAt(list.status_list, idx), now: Math.max(now, list.iat) };
}

async function verify(signed) {
  parse(signed, CERTIFICATE);
  if (!globalThis.crypto?.subtle) {
    throw new Refused("unknown", "insecure");
  }
  let keys;
  try {
    keys = (await load(".well-known/jwks.json", (each) => each.json())).keys;
  } catch {
    throw new Refused("unknown", "no_keys");
  }
  const claims = await verified(signed, CERTIFICATE, keys);
  if (claims.exp <= Date.now() / 1000) {
    return { claims, outcome: "ended", reason: "expired" };
  }
  try {
    const { value, now } = await statusOf(claims, keys);
    const [outcome, reason] = claims.exp <= now ? ["ended", "expired"] : BY_STATUS[value];
    return { claims, outcome, reason };
  } catch {
    return { claims, outcome: "unknown", reason: "no_status" };
  }
}

function timeOf(seconds) {
  const language = document.documentElement.lang === "ur" ? "ur-PK-u-nu-latn" : "en-GB";
  const format = new Intl.DateTimeFormat(language, {
    day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    timeZone: "Asia/Karachi",
  });
  return `${format.format(new Date(seconds * 1000))} (UTC+05:00)`;
}

function show({ outcome, reason, claims = {} }) {
  const facts = {
    exp: claims.exp && timeOf(claims.exp),
    networks: claims.networks?.join("\n"),
    networks_digest: claims.networks_digest,
    operator: claims.operator,
    track: claims.track && text(claims.track),
    valid_from: claims.valid_from && timeOf(claims.valid_from),
    case: claims.sub,
  };
  for (const each of document.querySelectorAll("[data-fact]")) {
    each.textContent = facts[each.dataset.fact] ?? "";
  }
  element("outcome").textContent = text(outcome);
  element("reason").textContent = reason ? text(reason) : "";
  element("compare").hidden = !claims.networks_digest;
  element("compare").dataset.digest = claims.networks_digest ?? "";
  element("compared").textContent = "";
  element("result").dataset.outcome = outcome;
  element("result").hidden = false;
}

let newest = 0;

async function check(given) {
  const mine = (newest += 1);
  const signed = COMPACT.exec(given)?.[0];
  show({ outcome: "checking", reason: "" });
  let found;
  try {
    if (!signed) {
      throw new Refused("not_valid", "malformed");
    }
    found = await verify(signed);
  } catch (refused) {
    found = refused instanceof Refused ? { outcome: refused.outcome, reason: refused.message } : { outcome: "unknown" };
  }
  if (mine === newest) {
    show(found);
    element("result").focus({ preventScroll: true });
    element("result").scrollIntoView({ block: "nearest" });
  }
}

async function compare(event) {
  event.preventDefault();
  const given = element("networks").value.split(/[\s,]+/).filter(Boolean).sort();
  const bytes = new TextEncoder().encode(given.map((each) => `${each}\n`).join(""));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (each) => each.toString(16).padStart(2, "0")).join("");
  element("compared").textContent = text(hex === element("compare").dataset.digest ? "same" : "other");
}

function checkFragment() {
  const language = element("language");
  language.href = language.getAttribute("href").split("#")[0] + location.hash;
  if (location.hash.length > 1) {
    check(location.hash);
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  check(element("certificate").value);
});
// the PDF's link to this page is plain text in it
element("file").addEventListener("change", async ({ target }) => {
  if (target.files.length) {
    check(new TextDecoder("latin1").decode(await target.files[0].arrayBuffer()));
  }
});
element("compare").addEventListener("submit", compare);
addEventListener("hashchange", checkFragment);
checkFragment();
