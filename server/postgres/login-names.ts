/** The roles that serve. None owns anything; what each may do is in the migrations. */
export const LOGINS = ['rowhouse_api', 'rowhouse_public', 'rowhouse_auth', 'rowhouse_system'] as const

export type Login = (typeof LOGINS)[number]
