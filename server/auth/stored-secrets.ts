// Conceals secrets between Better Auth and the database, so that a copy of the database signs nobody in.
// Session tokens are stored as the SHA-256 of their SHA-256, identifiers of pending verifications (reset
// tokens and OAuth states) as a hash, their values and the tokens of sign-in providers encrypted. The library
// still sees the raw token that it searched for; a row that it found in another way has the row's id as its
// token.

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes, randomUUID } from 'node:crypto'
import type { DBAdapter, DBTransactionAdapter, Where } from 'better-auth/adapters'
import { toEmail } from '#server/rpc/inputs.ts'
import { type AccountTokens, hasTokens } from './account-tokens.ts'
import { translateDatabaseError } from './database-errors.ts'
import { fromLibraryEmail, toLibraryEmail } from './library-email.ts'
import { storedSessionToken } from './session-token.ts'

type Values = Record<string, unknown>

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const NIL_UUID = '00000000-0000-0000-0000-000000000000'
const UUID_FIELDS = new Set(['id', 'userId', 'organizationId', 'inviterId', 'activeOrganizationId'])

const isSession = (model: string) => model === 'session' || model === 'sessions'
const isAccount = (model: string) => model === 'account' || model === 'accounts'
const isVerification = (model: string) => model === 'verification' || model === 'verifications'

/** Wraps an adapter, and its adapters for transactions, so that stored secrets are unusable. */
export function storeSecretsSafely(
  adapter: DBAdapter,
  { secret, tokens }: { secret: string; tokens: AccountTokens },
): DBAdapter {
  const seals = { verifications: createSeal(secret), tokens }
  return {
    ...adapter,
    ...wrapOperations(adapter, seals),
    transaction: callback =>
      translating(adapter.transaction(transaction => callback(wrapOperations(transaction, seals)))),
  }
}

interface Seals {
  readonly verifications: Seal
  readonly tokens: AccountTokens
}

function wrapOperations(inner: DBTransactionAdapter, seal: Seals): DBTransactionAdapter {
  return {
    ...inner,
    create: async input => {
      const secrets = new OperationSecrets(input.model, seal)
      const data = secrets.conceal(input.data)
      if (!isAccount(input.model) || !hasTokens(data)) {
        return secrets.reveal(await translating(inner.create({ ...input, data })))
      }
      // A token is bound to its row, so the row's id is created first; the library accepts no UUID of version
      // 7.
      const row = { id: randomUUID(), userId: String(input.data.userId) }
      const sealed = { ...seal.tokens.seal(data, row), id: row.id }
      return secrets.reveal(await translating(inner.create({ ...input, data: sealed, forceAllowId: true })))
    },
    findOne: async input => {
      const secrets = new OperationSecrets(input.model, seal)
      const select = input.select && secrets.select(input.select)
      const where = secrets.where(input.where)
      return secrets.reveal(await translating(inner.findOne({ ...input, where, select })))
    },
    findMany: async input => {
      const secrets = new OperationSecrets(input.model, seal)
      const where = input.where && secrets.where(input.where)
      const select = input.select && secrets.select(input.select)
      const rows = await translating(inner.findMany({ ...input, where, select }))
      return rows.map(row => secrets.reveal(row)) as never
    },
    count: input => {
      const where = input.where && new OperationSecrets(input.model, seal).where(input.where)
      return translating(inner.count({ ...input, where }))
    },
    update: async input => {
      const secrets = new OperationSecrets(input.model, seal)
      const where = secrets.where(input.where)
      const update = secrets.conceal(input.update)
      if (isAccount(input.model) && hasTokens(update)) {
        const select = ['id', 'userId']
        const row = await inner.findOne<{ id: string; userId: string }>({ model: input.model, where, select })
        if (!row) return null
        const byId = [{ field: 'id', value: row.id }]
        const sealed = seal.tokens.seal(update, row)
        return secrets.reveal(await translating(inner.update({ ...input, where: byId, update: sealed })))
      }
      if (!isSession(input.model) || update.expiresAt === undefined) {
        return secrets.reveal(await translating(inner.update({ ...input, where, update })))
      }
      // The library marks a session that must not be remembered by a second cookie, which a bearer does not
      // send: here the row itself says whether use prolongs it.
      const slides: Where = { field: 'slides', value: true }
      const prolonged = await translating(inner.update({ ...input, where: [...where, slides], update }))
      if (prolonged) return secrets.reveal(prolonged) as never
      const { expiresAt: _, ...others } = update
      return secrets.reveal(await translating(inner.update({ ...input, where, update: others })))
    },
    updateMany: input => {
      const secrets = new OperationSecrets(input.model, seal)
      refuseTokens(input.model, input.update)
      const update = secrets.conceal(input.update)
      return translating(inner.updateMany({ ...input, where: secrets.where(input.where), update }))
    },
    delete: input => {
      const where = new OperationSecrets(input.model, seal).where(input.where)
      return translating(inner.delete({ ...input, where }))
    },
    deleteMany: input => {
      const where = new OperationSecrets(input.model, seal).where(input.where)
      return translating(inner.deleteMany({ ...input, where }))
    },
    consumeOne: async input => {
      const secrets = new OperationSecrets(input.model, seal)
      return secrets.reveal(
        await translating(inner.consumeOne({ ...input, where: secrets.where(input.where) })),
      )
    },
    incrementOne: async input => {
      const secrets = new OperationSecrets(input.model, seal)
      refuseTokens(input.model, input.set)
      const set = input.set && secrets.conceal(input.set)
      return secrets.reveal(
        await translating(inner.incrementOne({ ...input, where: secrets.where(input.where), set })),
      )
    },
  }
}

function refuseTokens(model: string, values: object | undefined): void {
  if (isAccount(model) && hasTokens(values)) throw new Error('tokens are written to one account at a time')
}

async function translating<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation
  } catch (error) {
    throw translateDatabaseError(error)
  }
}

/**
 * One operation on one model: conceals what goes in and remembers it, so that the answer can carry what was
 * asked with.
 */
class OperationSecrets {
  readonly #model: string
  readonly #seal: Seals
  readonly #tokens = new Map<string, string>()

  constructor(model: string, seal: Seals) {
    this.#model = model
    this.#seal = seal
  }

  where(conditions: Where[]): Where[] {
    return conditions.map(condition => {
      if (isSession(this.#model) && condition.field === 'token') {
        return compareWhole(condition, token => this.#concealToken(token))
      }
      if (isVerification(this.#model) && condition.field === 'identifier') {
        return compareWhole(condition, concealIdentifier)
      }
      if (isVerification(this.#model) && condition.field === 'value') {
        throw new Error('the value of a verification is encrypted and cannot be searched')
      }
      if (condition.field === 'email' && typeof condition.value === 'string') {
        return { ...condition, value: storedEmail(condition.value) }
      }
      return UUID_FIELDS.has(condition.field) ? withUuids(condition) : condition
    })
  }

  /** The columns to read, with the ids that an account's tokens need for decryption. */
  select(columns: string[]): string[] {
    return isAccount(this.#model) ? [...new Set([...columns, 'id', 'userId'])] : columns
  }

  conceal<T>(values: T): T {
    const concealed = { ...values } as Values
    if (isSession(this.#model) && typeof concealed.token === 'string') {
      concealed.token = this.#concealToken(concealed.token)
    }
    if (isVerification(this.#model)) {
      const { identifier, value } = concealed
      if (typeof identifier === 'string') concealed.identifier = concealIdentifier(identifier)
      if (typeof value === 'string') {
        // Reset links and challenges contain their user's id, by which a trigger deletes them when the
        // password changes.
        if (UUID.test(value)) concealed.userId = value
        concealed.value = this.#seal.verifications.close(value)
      }
    }
    if (typeof concealed.email === 'string') concealed.email = storedEmail(concealed.email)
    return concealed as T
  }

  reveal<T>(row: T): T {
    if (row === null || typeof row !== 'object') return row
    const revealed = (isAccount(this.#model) ? this.#seal.tokens.open(row as Values) : { ...row }) as Values
    if (isSession(this.#model) && 'token' in revealed) {
      revealed.token = this.#tokens.get(String(revealed.token)) ?? revealed.id ?? ''
    }
    if (isVerification(this.#model) && typeof revealed.value === 'string') {
      revealed.value = this.#seal.verifications.open(revealed.value)
    }
    if (Array.isArray(revealed.account)) {
      revealed.account = revealed.account.map(account => this.#seal.tokens.open(account))
    }
    revealEmail(revealed)
    if (revealed.user !== null && typeof revealed.user === 'object') {
      revealed.user = revealEmail({ ...revealed.user })
    }
    const joined = revealed.session
    if (Array.isArray(joined)) revealed.session = joined.map(withoutToken)
    else if (joined) revealed.session = withoutToken(joined)
    return revealed as T
  }

  #concealToken(token: string): string {
    const stored = storedSessionToken(token)
    this.#tokens.set(stored, token)
    return stored
  }
}

function storedEmail(email: string): string {
  return toEmail(fromLibraryEmail(email))
}

function revealEmail(row: Values): Values {
  if (typeof row.email === 'string') row.email = toLibraryEmail(row.email)
  return row
}

function withoutToken(session: unknown): unknown {
  if (session === null || typeof session !== 'object' || !('id' in session)) return session
  return { ...session, token: session.id }
}

/** Hashes twice: the library also looks for an identifier as given, and would accept a stored hash as one. */
function concealIdentifier(identifier: string): string {
  return createHash('sha256').update(identifier, 'utf8').digest('hex')
}

function compareWhole(condition: Where, conceal: (text: string) => string): Where {
  const { operator = 'eq', value } = condition
  if ((operator === 'eq' || operator === 'ne') && typeof value === 'string') {
    return { ...condition, value: conceal(value), mode: 'sensitive' }
  }
  if ((operator === 'in' || operator === 'not_in') && Array.isArray(value)) {
    return { ...condition, value: value.map(item => conceal(String(item))), mode: 'sensitive' }
  }
  throw new Error(
    `"${condition.field}" is stored as a hash and can only be compared whole, not with "${operator}"`,
  )
}

/** An invalid id matches no row; Postgres would refuse the statement. */
function withUuids(condition: Where): Where {
  const { operator = 'eq', value } = condition
  if (operator === 'eq' && typeof value === 'string' && !UUID.test(value)) {
    return { ...condition, value: NIL_UUID }
  }
  if (operator === 'in' && Array.isArray(value)) {
    const ids = value.map(String).filter(id => UUID.test(id))
    return { ...condition, value: ids.length > 0 ? ids : [NIL_UUID] }
  }
  return condition
}

interface Seal {
  close(text: string): string
  open(sealed: string): string
}

/** AES-256-GCM under a key derived from the secret; a text that does not decrypt becomes empty. */
function createSeal(secret: string): Seal {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'rowhouse auth.verifications.value', 32))
  return {
    close: text => {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, iv)
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url')
    },
    open: sealed => {
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes.length < 28) return ''
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
        decipher.setAuthTag(bytes.subarray(12, 28))
        return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
      } catch {
        return ''
      }
    },
  }
}
