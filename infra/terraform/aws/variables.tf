variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "prefix" {
  description = "What every key begins with, such as media/; empty: the bucket is the store's alone."
  type        = string
  default     = ""
}

variable "retention_days" {
  description = "How long no version can be deleted, and how long replaced ones are kept."
  type        = number
  default     = 30
}

variable "writers" {
  description = "ARNs of who may take the writer's role."
  type        = list(string)
}

variable "readers" {
  description = "ARNs of who may take the reader's role."
  type        = list(string)
}
