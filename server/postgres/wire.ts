import { Socket } from 'node:net'
import Connection from 'pg/lib/connection.js'
import { toError } from '#server/app/recurring-failure.ts'
import {
  type ConnectFailure,
  type FailedAttempt,
  ForbiddenLoginError,
  type Stage,
  unwantedServer,
} from './connect-failure.ts'
import type { Attempt, AuthMethod, ConnectionPlan } from './connection-plan.ts'
import { type Host, socketPath } from './connection-url.ts'

interface AuthMessage {
  readonly mechanisms?: readonly string[]
}

const SSL_ANSWERS = { S: 'tls', N: 'plain' } as const
/** The server is starting or stopping: another host may be ready. */
const CANNOT_CONNECT_NOW = '57P03'

/**
 * pg's wire, connecting as libpq does: tries each host, with TLS and without, until one of the wanted kind
 * answers. The client sees only the successful attempt, or the error of the last one.
 */
export class Wire extends Connection {
  readonly #plan: ConnectionPlan
  readonly #timeoutMs: number | null
  readonly #failed: FailedAttempt[] = []
  #queue: Attempt[]
  #current: Attempt | null = null
  #stage: Stage = 'connecting'
  #isOpen = false
  #isDeaf = false
  #timer: NodeJS.Timeout | undefined
  #session = new Map<string, string>()
  #hasAuthenticated = false
  /**
   * The rows that answer our query for the server's kind, if it does not report it; null while no query runs.
   */
  #answer: string | null = null
  #isSecondRound = false

  constructor(plan: ConnectionPlan, timeoutMs: number | null = plan.timeoutMs) {
    super({})
    this.#plan = plan
    this.#timeoutMs = timeoutMs
    this.#queue = [...plan.order()]
  }

  /** The host of the current attempt. */
  get host(): Host | null {
    return this.#current?.host ?? null
  }

  /** pg passes a host and a port, but the plan's hosts are used. */
  override connect(): void {
    this._connecting = true
    this.#next()
  }

  /**
   * Connects to the same server in the same way, for a request that cancels a statement; calls `onReady` when
   * it can be sent.
   */
  connectLike(other: Wire, onReady: () => void): void {
    const attempt = other.#current
    if (!attempt) throw new Error('the connection whose statement should be cancelled was never made')
    this.#queue = [{ ...attempt, tls: other.ssl ? attempt.tls : null }]
    this.#isSecondRound = true
    this.once('connect', onReady)
    this.once('sslconnect', onReady)
    this.connect()
  }

  override emit(event: string, ...values: unknown[]): boolean {
    // Drops the rest of a packet whose beginning ended the attempt.
    if (this.#isDeaf && !['error', 'end', 'connect', 'sslconnect'].includes(event)) return false
    if (this.#isOpen || this.#receive(event, values[0])) return super.emit(event, ...values)
    return false
  }

  #next(): void {
    clearTimeout(this.#timer)
    const attempt = this.#queue.shift()
    if (!attempt) return
    const stream = new Socket()
    this.#current = attempt
    this.#stage = 'connecting'
    this.#session = new Map()
    this.#hasAuthenticated = false
    this.#answer = null
    this.stream = stream
    stream.once('connect', () => {
      this.#isDeaf = false
    })
    this.ssl = attempt.tls ?? false
    this.sslNegotiation = this.#plan.isDirectTls ? 'direct' : 'postgres'
    const isCurrent = () => this.#current === attempt
    const onError = (error: Error & { code?: string }) => {
      const isGoodbye = this._ending && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      if (isCurrent() && !isGoodbye) this.emit('error', error)
    }
    stream.on('error', onError)
    stream.on('close', () => isCurrent() && this.emit('end'))
    stream.once('connect', () => {
      if (this.#plan.keepAlive) stream.setKeepAlive(true, this.#plan.keepAliveIdleMs)
      this.#greet(attempt, onError)
    })
    if (this.#timeoutMs !== null) {
      this.#timer = setTimeout(() => this.stream.destroy(new Error('timeout expired')), this.#timeoutMs)
      this.#timer.unref()
    }
    const { host, address, port } = attempt.host
    stream.setNoDelay(true)
    if (host.startsWith('/')) stream.connect(socketPath(host, port))
    else stream.connect(port, address ?? host)
  }

  #greet(attempt: Attempt, onError: (error: Error) => void): void {
    const { stream } = this
    const goPlain = () => {
      this.ssl = false
      this.#stage = 'logging in'
      this.attachListeners(stream)
      super.emit('connect')
    }
    const goEncrypted = () => {
      this.#stage = 'encrypting'
      const { host, address } = attempt.host
      this.upgradeToSSL(address ?? host, onError)
      this.stream.once('secureConnect', () => {
        this.#stage = 'logging in'
      })
    }
    if (!attempt.tls || this.#plan.isDirectTls) {
      if (attempt.tls) goEncrypted()
      else goPlain()
      return
    }
    this.#stage = 'encrypting'
    stream.once('data', answer => {
      const text = answer.toString('latin1')
      // Exactly one byte: unencrypted bytes after it could come from an attacker.
      const kind = text === 'S' || text === 'N' ? SSL_ANSWERS[text] : null
      if (kind === 'tls') goEncrypted()
      else if (kind === 'plain' && attempt.mayStayPlain) goPlain()
      else {
        stream.destroy(
          new Error(
            kind === 'plain'
              ? 'The server does not support SSL connections'
              : 'There was an error establishing an SSL connection',
          ),
        )
      }
    })
    this.requestSsl()
  }

  /**
   * Handles events before the client may use the connection. Returns false if the client must not see the
   * event.
   */
  #receive(event: string, value: unknown): boolean {
    if (this.#answer !== null) return this.#receiveAnswer(event, value)
    switch (event) {
      case 'error':
      case 'errorMessage':
        return this.#fail(toError(value))
      case 'end':
        return this.#end()
      case 'authenticationOk':
        return this.#hasAuthenticated || this.#authenticate('none', {})
      case 'authenticationCleartextPassword':
        return this.#authenticate('password', {})
      case 'authenticationMD5Password':
        return this.#authenticate('md5', {})
      case 'authenticationSASL':
        return this.#authenticate('scram-sha-256', value as AuthMessage)
      case 'parameterStatus': {
        const { parameterName, parameterValue } = value as Record<string, string>
        this.#session.set(parameterName ?? '', parameterValue ?? '')
        return true
      }
      case 'readyForQuery':
        return this.#welcome()
      default:
        return true
    }
  }

  #authenticate(method: AuthMethod, { mechanisms = [] }: AuthMessage): boolean {
    this.#hasAuthenticated = true
    const { allowedAuth, channelBinding } = this.#plan
    if (!allowedAuth.has(method)) {
      const asked =
        method === 'none' ? 'allows logins without authentication' : `asks for the method ${method}`
      return this.#turnAway(new ForbiddenLoginError(`the server ${asked}, which require_auth forbids`))
    }
    if (channelBinding === 'require' && !(this.ssl && mechanisms.includes('SCRAM-SHA-256-PLUS'))) {
      const reason = 'the server does not bind the login to TLS, which channel_binding=require needs'
      return this.#turnAway(new ForbiddenLoginError(reason))
    }
    return true
  }

  #welcome(): boolean {
    const { sessionKind } = this.#plan
    if (sessionKind === 'any' || this.#isSecondRound) return this.#open()
    const [inRecovery, readOnly] = ['in_hot_standby', 'default_transaction_read_only'].map(name =>
      this.#session.get(name),
    )
    // A pooler may not forward what the server reports.
    if (inRecovery === undefined || readOnly === undefined) {
      this.#answer = ''
      this.query(
        `select pg_catalog.pg_is_in_recovery()::text || ',' || (current_setting('transaction_read_only') = 'on')::text`,
      )
      return false
    }
    return this.#judge(inRecovery === 'on', inRecovery === 'on' || readOnly === 'on')
  }

  #receiveAnswer(event: string, value: unknown): boolean {
    if (event === 'dataRow') this.#answer = String((value as { fields: unknown[] }).fields[0])
    else if (event === 'error' || event === 'errorMessage') return this.#fail(toError(value))
    else if (event === 'end') return this.#end()
    else if (event === 'readyForQuery') {
      const [isStandby, isReadOnly] = (this.#answer ?? '').split(',').map(text => text === 'true')
      this.#answer = null
      return this.#judge(isStandby ?? false, isReadOnly ?? false)
    }
    return false
  }

  #judge(isStandby: boolean, isReadOnly: boolean): boolean {
    const unwanted = unwantedServer(this.#plan.sessionKind, { isStandby, isReadOnly })
    return unwanted ? this.#turnAway(unwanted) : this.#open()
  }

  #end(): boolean {
    if (this._ending) return this.#open()
    const error = new Error('Connection terminated unexpectedly')
    if (!this.#fail(error)) return false
    super.emit('error', error)
    return true
  }

  #open(): true {
    clearTimeout(this.#timer)
    this.#isOpen = true
    return true
  }

  /** Abandons a server that answered but is not of the wanted kind. */
  #turnAway(error: Error): false {
    if (!this.#fail(error)) return false
    this.stream.destroy()
    super.emit('error', error)
    return false
  }

  /**
   * Starts the next attempt and returns false; returns true after the last one, when the client must see the
   * error.
   */
  #fail(error: ConnectFailure): boolean {
    const attempt = this.#current
    if (!attempt) return true
    this.#failed.push({ host: attempt.host, stage: this.#stage, error })
    this.#isDeaf = true
    if (!this._ending && this.#hasAnother(attempt, error)) {
      this.#current = null
      this.stream.destroy()
      this.#next()
      return false
    }
    error.attempts = this.#failed
    return this.#open()
  }

  #hasAnother({ host }: Attempt, error: Error & { code?: string }): boolean {
    const isRefused =
      error instanceof ForbiddenLoginError || ('severity' in error && error.code !== CANNOT_CONNECT_NOW)
    if (isRefused) {
      // The server refused the login, and other hosts would too. Before it asked for a password, the cause
      // may be TLS.
      this.#queue = this.#hasAuthenticated ? [] : this.#queue.filter(attempt => attempt.host === host)
      return this.#queue.length > 0
    }
    const isAboutTls = this.#stage === 'encrypting' && !/timeout/.test(error.message)
    if (!isAboutTls) this.#queue = this.#queue.filter(attempt => attempt.host !== host)
    if (this.#queue.length > 0) return true
    if (this.#plan.sessionKind !== 'prefer-standby' || this.#isSecondRound) return false
    this.#isSecondRound = true
    this.#queue = [...this.#plan.order()]
    return true
  }
}
