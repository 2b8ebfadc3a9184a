"""The gaps of kubefab/steps, over literals of Facts."""
