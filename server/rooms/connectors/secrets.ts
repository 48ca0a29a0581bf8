// The sealed columns of a connector: env and headers as JSON objects, the OAuth client's id and secret as
// text. Each envelope is bound to its column.
import { type Place, seal } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import { openIfReadable } from '#server/crypto/readable.ts'
import { type ConnectorSecrets, SECRET_FIELDS, type SecretField } from './schema.ts'

/** A row's sealed columns. */
export type SealedSecrets = Readonly<Record<SecretField, string | null>>

/** New values: null clears a secret, and an omitted one keeps its value. */
export type SecretChanges = {
  readonly [Field in SecretField]?: ConnectorSecrets[Field] | null | undefined
}

const COLUMNS: Readonly<Record<SecretField, string>> = Object.freeze({
  env: 'env',
  headers: 'headers',
  oauthClientId: 'oauth_client_id',
  oauthClientSecret: 'oauth_client_secret',
})

interface Row {
  readonly ownerId: string
  readonly rowId: string
}

export function placeOf(field: SecretField, { ownerId, rowId }: Row): Place {
  return { table: 'app.connectors', column: COLUMNS[field], ownerId, rowId }
}

export function sealSecrets(
  keyring: Keyring,
  changes: SecretChanges,
  row: Row,
): Partial<Record<SecretField, string | null>> {
  const sealed: Partial<Record<SecretField, string | null>> = {}
  for (const field of SECRET_FIELDS) {
    const value = changes[field]
    if (value === undefined) continue
    sealed[field] = isNothing(value) ? null : seal(keyring, textOf(value), placeOf(field, row))
  }
  return sealed
}

export function openSecrets(keyring: Keyring, sealed: SealedSecrets, row: Row): ConnectorSecrets {
  const unreadable: SecretField[] = []
  const openField = (field: SecretField): string | null => {
    const envelope = sealed[field]
    if (envelope === null) return null
    const value = openIfReadable(keyring, envelope, placeOf(field, row))
    if (value === null) unreadable.push(field)
    return value
  }
  return {
    env: pairsOf(openField('env')),
    headers: pairsOf(openField('headers')),
    oauthClientId: openField('oauthClientId'),
    oauthClientSecret: openField('oauthClientSecret'),
    unreadable,
  }
}

function isNothing(value: ConnectorSecrets[SecretField] | null): value is null {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0)
}

function textOf(value: ConnectorSecrets[SecretField]): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function pairsOf(json: string | null): Record<string, string> {
  return json === null ? {} : JSON.parse(json)
}
