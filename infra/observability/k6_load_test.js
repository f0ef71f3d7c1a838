// k6: six scenarios against the platform's gateway, staged load, own metrics, thresholds that fail the run.
//
//   k6 run -e GATEWAY_URL=http://127.0.0.1:8100 -e PLATFORM_LOGINS=$PWD/.data/platform/logins.json infra/observability/k6_load_test.js
//
// P95_MS (500) is the objective of latency, LOAD_SECONDS (60) the length of the whole run, VUS (2) the users of each scenario at the height of it, K6_SUMMARY a file for the
// JSON summary with the verdict of every objective. Status 99: a threshold is crossed. What nothing was measured of is missed.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

const GATEWAY = __ENV.GATEWAY_URL || 'http://127.0.0.1:8100';
if (!__ENV.PLATFORM_LOGINS) {
  throw new Error('set PLATFORM_LOGINS to the file of people who may log in: -e PLATFORM_LOGINS=$PWD/.data/platform/logins.json');
}
const LOGINS = JSON.parse(open(__ENV.PLATFORM_LOGINS));
const SECONDS = whole('LOAD_SECONDS', 60);
const VUS = whole('VUS', 2);

const searchLatency = new Trend('search_latency', true);
const mlLatency = new Trend('ml_latency', true);
const limited = new Rate('rate_limited');
const broken = new Counter('contract_violations');
const answered = new Counter('answered');

const WORDS = ['pulmonary nodule', 'acute infarct', 'gallstones', 'mass', 'meniscus', 'pleural effusion', 'aneurysm'];
const MEANINGS = ['stroke in the brain', 'something in the lung', 'kidney stones', 'torn ligament of the knee'];
const SCENARIOS = {
  browse_studies: 'browseStudies',
  keyword_search: 'keywordSearch',
  filtered_search: 'filteredSearch',
  semantic_search: 'semanticSearch',
  ml_inference: 'mlInference',
  health_check: 'healthCheck',
};
const P95 = `p(95)<${__ENV.P95_MS || 500}`;
const THRESHOLDS = {
  http_req_duration: [P95],
  http_req_failed: ['rate<0.01'],
  checks: ['rate>0.99'],
  search_latency: [P95],
  ml_latency: [P95],
  contract_violations: ['count<1'],
  rate_limited: ['rate<0.01'], // who is within the limits is not to be refused
  // named, so that the summary has each scenario's own numbers
  ...Object.fromEntries(Object.keys(SCENARIOS).map((name) => [`http_req_duration{scenario:${name}}`, [P95]])),
  // a threshold over nothing is not crossed: so each scenario has to be answered at least once
  ...Object.fromEntries(Object.keys(SCENARIOS).map((name) => [`answered{scenario:${name}}`, ['count>0']])),
};

// A refusal by the limits is an answer, not a failure; its contract is checked below.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }, 429));

function whole(name, otherwise) {
  const value = Number(__ENV[name] || otherwise);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} is a whole number from 1 on, not ${__ENV[name]}`);
  return value;
}

function staged(exec) {
  const part = (share) => `${Math.max(1, Math.round(SECONDS * share))}s`;
  return {
    executor: 'ramping-vus',
    exec,
    startVUs: 1,
    stages: [
      { duration: part(0.2), target: Math.max(1, Math.round(VUS / 2)) },
      { duration: part(0.2), target: VUS },
      { duration: part(0.4), target: VUS },
      { duration: part(0.2), target: 1 },
    ],
    gracefulRampDown: '5s',
    gracefulStop: '5s',
  };
}

export const options = {
  scenarios: Object.fromEntries(Object.entries(SCENARIOS).map(([name, exec]) => [name, staged(exec)])),
  thresholds: THRESHOLDS,
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
};

export function setup() {
  const people = LOGINS.filter((row) => row.username.startsWith('clinician'));
  const tokens = people.slice(0, 12).map((row) => {
    const answer = http.post(`${GATEWAY}/login`, JSON.stringify({ username: row.username, password: row.password }), {
      headers: { 'Content-Type': 'application/json' },
    });
    if (answer.status !== 200) {
      const why = answer.status ? `status ${answer.status}` : `no answer (${answer.error})`;
      throw new Error(`login of ${row.username} at ${GATEWAY}: ${why}`);
    }
    return answer.json('token');
  });
  const studies = http.get(`${GATEWAY}/studies?limit=200`, { headers: { Authorization: `Bearer ${tokens[0]}` } });
  return { tokens, studies: studies.json('results').map((study) => study.id) };
}

const any = (list) => list[Math.floor(Math.random() * list.length)];

function asked(data, more) {
  const token = data.tokens[__VU % data.tokens.length];
  return { headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, ...more };
}

function judged(answer, latency) {
  const refused = answer.status === 429;
  limited.add(refused);
  if (refused) {
    const kept =
      answer.json('detail') &&
      String(answer.json('retry_after')) === answer.headers['Retry-After'] &&
      String(answer.json('limit')) === answer.headers['X-Ratelimit-Limit'];
    broken.add(kept ? 0 : 1);
    sleep(1);
    return;
  }
  if (check(answer, { 'answered 2xx': (r) => r.status >= 200 && r.status < 300 })) answered.add(1);
  if (latency) latency.add(answer.timings.duration);
}

function search(data, kind, words, more) {
  const query = Object.entries({ q: any(words), kind, ...more })
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  judged(http.get(`${GATEWAY}/search?${query}`, asked(data, { tags: { name: `/search ${kind}` } })), searchLatency);
  sleep(0.3);
}

export function browseStudies(data) {
  judged(http.get(`${GATEWAY}/studies?limit=20`, asked(data, { tags: { name: '/studies' } })));
  const url = `${GATEWAY}/studies/${any(data.studies)}/slices/0.png`;
  judged(http.get(url, asked(data, { tags: { name: '/studies/{id}/slices/{n}.png' } })));
  sleep(0.3);
}

export function keywordSearch(data) {
  search(data, 'keyword', WORDS, {});
}

export function filteredSearch(data) {
  search(data, 'filtered', WORDS, { modality: any(['CT', 'MR', 'US']), since: 2018 });
}

export function semanticSearch(data) {
  search(data, 'semantic', MEANINGS, { limit: 25 });
}

export function mlInference(data) {
  const body = JSON.stringify({ study: any(data.studies) });
  judged(http.post(`${GATEWAY}/ml/infer`, body, asked(data, { tags: { name: '/ml/infer' } })), mlLatency);
  sleep(0.3);
}

export function healthCheck() {
  const healthy = { healthy: (r) => r.status === 200 && r.json('status') === 'ok' };
  if (check(http.get(`${GATEWAY}/healthz`), healthy)) answered.add(1);
  sleep(1);
}

export function handleSummary(data) {
  const slo = [];
  const asked = measured(data.metrics.rate_limited);
  for (const name of Object.keys(THRESHOLDS)) {
    const metric = data.metrics[name] || { values: {}, thresholds: {} };
    for (const target of THRESHOLDS[name]) {
      const verdict = metric.thresholds[target] || { ok: false };
      const met = verdict.ok && asked && (metric.type === 'counter' || measured(metric));
      slo.push({ name, target, actual: actual(metric, target), met });
    }
  }
  const met = slo.every((each) => each.met);
  const summary = { tool: 'k6', seconds: data.state.testRunDurationMs / 1000, slo, slo_met: met, metrics: data.metrics };
  const said = (each) => (each.actual === null ? 'nothing was measured' : each.actual);
  const lines = slo.map((each) => `  ${each.met ? 'met   ' : 'MISSED'} ${each.name}: ${said(each)} (${each.target})`);
  const written = { stdout: `\nObjectives by k6:\n${lines.join('\n')}\n` };
  if (__ENV.K6_SUMMARY) written[__ENV.K6_SUMMARY] = JSON.stringify(summary, null, 1);
  return written;
}

// Whether anything stands behind the numbers: k6 shows a zero for what it never saw.
function measured(metric) {
  const values = metric ? metric.values : {};
  return (values.count || 0) + (values.passes || 0) + (values.fails || 0) > 0;
}

function actual(metric, target) {
  if (metric.type !== 'counter' && !measured(metric)) return null;
  const stat = target.split(/[<>]/)[0];
  const value = metric.values[stat];
  return value === undefined ? null : Math.round(value * 10000) / 10000;
}
