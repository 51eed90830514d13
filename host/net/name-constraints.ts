// Name constraints of CA certificates (RFC 5280 4.2.1.10) against names of DNS, IP and directory form.
// A constraint on another form refuses a certificate that has a name of that form, as it cannot be checked.
import type { AltName, GeneralName, GeneralSubtree, NameConstraints, RelativeDistinguishedNames } from 'pkijs';
import type { ParsedCertificate } from './certificate.ts';

/** GeneralName's tags (RFC 5280 4.2.1.6). */
enum NameForm {
  Dns = 2,
  Directory = 4,
  Ip = 7,
}

interface Name {
  readonly form: number;
  readonly value: string | Uint8Array | RelativeDistinguishedNames;
}

/**
 * Says why `constraints` of an issuer refuse `certificate`, or undefined when they do not.
 * `host` (a DNS name in lower case or an address's bytes) is checked like a name of the certificate: a wildcard
 * name may cover a host that is excluded.
 */
export function violatedConstraint(
  constraints: NameConstraints,
  certificate: ParsedCertificate,
  host?: string | Uint8Array,
): string | undefined {
  const names = namesOf(certificate);
  if (host !== undefined) names.push({ form: typeof host === 'string' ? NameForm.Dns : NameForm.Ip, value: host });
  for (const name of names) {
    const permitted = ofForm(constraints.permittedSubtrees, name.form);
    const excluded = ofForm(constraints.excludedSubtrees, name.form);
    if (permitted.length > 0 && !permitted.some((base) => within(name, base)))
      return `${textOf(name)} is not permitted`;
    if (excluded.some((base) => !canCheck(name.form) || within(name, base))) return `${textOf(name)} is excluded`;
  }
  return undefined;
}

function ofForm(subtrees: GeneralSubtree[] | undefined, form: number): GeneralName[] {
  return (subtrees ?? []).map((subtree) => subtree.base).filter((base) => base.type === form);
}

function canCheck(form: number): boolean {
  return form === NameForm.Dns || form === NameForm.Directory || form === NameForm.Ip;
}

function namesOf(certificate: ParsedCertificate): Name[] {
  const names: Name[] = [];
  const { subject, extensions } = certificate.asn1;
  if (subject.typesAndValues.length > 0) names.push({ form: NameForm.Directory, value: subject });
  const alternatives = extensions?.find((extension) => extension.extnID === '2.5.29.17')?.parsedValue as
    | AltName
    | undefined;
  for (const { type, value } of alternatives?.altNames ?? []) {
    names.push({ form: type, value: type === NameForm.Ip ? octets(value) : value });
  }
  return names;
}

function within(name: Name, base: GeneralName): boolean {
  switch (name.form) {
    case NameForm.Dns:
      return dnsWithin(String(name.value), String(base.value));
    case NameForm.Ip:
      return ipWithin(name.value as Uint8Array, octets(base.value));
    case NameForm.Directory:
      return directoryWithin(name.value as RelativeDistinguishedNames, base.value as RelativeDistinguishedNames);
    default:
      return false;
  }
}

/** `host.example` lies within `example`; a base that begins with a dot takes subdomains only. */
function dnsWithin(name: string, base: string): boolean {
  const [low, end] = [name.toLowerCase(), base.toLowerCase()];
  if (end === '' || low === end) return true;
  return low.endsWith(end.startsWith('.') ? end : `.${end}`);
}

/** `base` is an address and a mask of the same length. */
function ipWithin(address: Uint8Array, base: Uint8Array): boolean {
  if (base.length !== 2 * address.length) return false;
  return address.every((byte, index) => ((byte ^ base[index]!) & base[address.length + index]!) === 0);
}

function directoryWithin(name: RelativeDistinguishedNames, base: RelativeDistinguishedNames): boolean {
  if (base.typesAndValues.length > name.typesAndValues.length) return false;
  return base.typesAndValues.every((part, index) => part.isEqual(name.typesAndValues[index]!));
}

function octets(value: { valueBlock: { valueHexView: Uint8Array } }): Uint8Array {
  return value.valueBlock.valueHexView;
}

function textOf(name: Name): string {
  if (typeof name.value === 'string') return `name "${name.value}"`;
  if (name.form === NameForm.Ip) return `address ${Buffer.from(name.value as Uint8Array).toString('hex')}`;
  return name.form === NameForm.Directory ? 'its subject' : `a name of form ${name.form}`;
}
